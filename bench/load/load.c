/*
 * The load of one run as one epoll loop in C: what load.ts does, over TCP, for less CPU than any broker needs.
 *
 * Where every message is a write of its own, the kernel's part of a write is most of what a message costs, at both ends; a load
 * that spends more than that on top is the slower end, and then its speed is measured instead of the broker's.
 *
 * Arguments are NAME=NUMBER (see `read_options`) and host=ADDRESS; native.ts gives them. Prints `turned` when the measured
 * time begins and when it ends, then a LoadResult in JSON. Ends with 2, and a line on standard error, when a client is refused
 * or loses its connection.
 *
 * A payload begins with its publisher (4 bytes), its number with that publisher (4) and when it was sent or due (8, nanoseconds).
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum shape { PAIR, FAN_OUT, FAN_IN, SHARED, SPREAD };
enum packet { CONNACK = 2, PUBLISH = 3, PUBACK = 4, PUBREC = 5, PUBREL = 6, PUBCOMP = 7, SUBACK = 9 };
enum { READ_BYTES = 256 * 1024, EVENTS = 1024, PAYLOAD_MIN = 16, BUCKETS_PER_OCTAVE = 64, OCTAVES = 40, PROPERTY_BYTES = 64 };

struct bytes {
  uint8_t *at;
  size_t length, room;
};

/* A PUBLISH with room for a packet id and the head of its payload. */
struct template {
  struct bytes packet;
  size_t packet_id_at, payload_at;
};

struct client {
  int fd;
  bool is_subscriber, is_blocked, is_lined_up;
  uint32_t number, in_flight, sent;
  uint16_t packet_id;
  struct bytes part;        /* of a packet that has not come whole */
  struct bytes out;         /* what the socket has not taken begins at out_start */
  size_t out_start;
  struct template *topics;  /* a publisher's, in turn */
  uint32_t *next;           /* a subscriber's: for each publisher the number that comes next */
};

static struct {
  int port, pid, publishers, subscribers, qos, version, payload, window, batch, user_properties, is_durable;
  enum shape shape;
  double outstanding, rate, warm_up, measure, silence;
  const char *host;
} options = {.silence = 5000};

static struct client *clients; /* subscribers, then publishers */
static int poll_fd, topic_count;
static double per_message;
static struct client **line; /* publishers that may send, from line_start on, in a ring */
static size_t line_start, line_length;
static uint64_t sent, received, acknowledged, missing, misplaced, started_at;
static bool is_measuring;
static double buckets[OCTAVES * BUCKETS_PER_OCTAVE], counted;
static uint64_t latency_max;

static void fail(const char *format, ...) {
  va_list values;
  va_start(values, format);
  fprintf(stderr, "Error: ");
  vfprintf(stderr, format, values);
  fprintf(stderr, "\n");
  exit(2);
}

static uint64_t now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

/* ── bytes ── */

static uint8_t *append(struct bytes *to, const void *from, size_t length) {
  if (to->length + length > to->room) {
    to->room = 2 * (to->length + length);
    to->at = realloc(to->at, to->room);
    if (to->at == NULL) fail("out of memory");
  }
  uint8_t *start = to->at + to->length;
  if (from != NULL) memcpy(start, from, length);
  to->length += length;
  return start;
}

static void append_byte(struct bytes *to, int value) {
  *append(to, NULL, 1) = (uint8_t)value;
}

static void store16(uint8_t *at, uint32_t value) {
  at[0] = (uint8_t)(value >> 8);
  at[1] = (uint8_t)value;
}

static uint32_t load16(const uint8_t *at) {
  return (uint32_t)at[0] << 8 | at[1];
}

static void append16(struct bytes *to, uint32_t value) {
  store16(append(to, NULL, 2), value);
}

static void append_text(struct bytes *to, const char *text) {
  append16(to, (uint32_t)strlen(text));
  append(to, text, strlen(text));
}

static void append_integer(struct bytes *to, size_t value) {
  for (; value >= 0x80; value >>= 7) append_byte(to, (int)(value & 0x7f) | 0x80);
  append_byte(to, (int)value);
}

/* Wraps `body` into a packet. */
static void append_packet(struct bytes *to, int head, struct bytes *body) {
  append_byte(to, head);
  append_integer(to, body->length);
  append(to, body->at, body->length);
  free(body->at);
}

/* The packet at `at`: where its body begins and where it ends; false when [at, end) does not hold all of it. */
static bool frame(const uint8_t *bytes, size_t at, size_t end, size_t *body, size_t *next) {
  size_t length = 0;
  for (int i = 0; i < 4 && at + 1 + (size_t)i < end; i++) {
    uint8_t each = bytes[at + 1 + (size_t)i];
    length |= (size_t)(each & 0x7f) << (7 * i);
    if (each >= 0x80) continue;
    *body = at + 2 + (size_t)i;
    *next = *body + length;
    return *next <= end;
  }
  return false;
}

/* ── connecting: one after the other, waiting for each answer ── */

static void name_topic(char *to, size_t size, enum shape shape, int number) {
  if (shape == FAN_OUT) snprintf(to, size, "load/all");
  else snprintf(to, size, "load/%d", number);
}

/* Waits for one packet of this type, and returns the last byte of it that says whether it is well: the reason code. */
static uint8_t expect(int fd, enum packet type) {
  uint8_t bytes[1024];
  size_t length = 0, body, next;
  while (!frame(bytes, 0, length, &body, &next)) {
    /* Byte by byte at first: what comes behind it must not be taken, too. */
    ssize_t got = length == sizeof bytes ? 0 : read(fd, bytes + length, 1);
    if (got <= 0) fail("A client could not connect: %s", got == 0 ? "closed by the broker" : strerror(errno));
    length++;
  }
  if (bytes[0] >> 4 != type) fail("The broker answered with a packet of type %d", bytes[0] >> 4);
  return type == CONNACK ? bytes[body + 1] : bytes[next - 1];
}

static void write_all(int fd, struct bytes *packet) {
  for (size_t at = 0; at < packet->length;) {
    ssize_t took = write(fd, packet->at + at, packet->length - at);
    if (took <= 0) fail("A client could not connect: %s", strerror(errno));
    at += (size_t)took;
  }
  free(packet->at);
}

static int greet(bool is_subscriber, int number, bool clean_start) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)options.port)};
  if (inet_pton(AF_INET, options.host, &address.sin_addr) != 1) fail("%s is not an IPv4 address", options.host);
  int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;
  if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) < 0) {
    fail("A client could not connect: %s", strerror(errno));
  }
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  char id[64];
  snprintf(id, sizeof id, "bench-%d-%c%d", (int)getpid(), is_subscriber ? 's' : 'p', number);
  struct bytes body = {0}, packet = {0};
  append_text(&body, options.version == 3 ? "MQIsdp" : "MQTT");
  append_byte(&body, options.version);
  append_byte(&body, clean_start ? 2 : 0);
  append16(&body, 0);
  /* Session Expiry: an hour. */
  if (options.version == 5) append(&body, clean_start ? "\0" : "\5\x11\0\0\x0e\x10", clean_start ? 1 : 6);
  append_text(&body, id);
  append_packet(&packet, 0x10, &body);
  write_all(fd, &packet);
  uint8_t reason = expect(fd, CONNACK);
  if (reason != 0) fail("The broker refused a client: 0x%02x", reason);
  return fd;
}

static void subscribe(int fd, int number) {
  char filter[64];
  if (options.shape == FAN_IN) snprintf(filter, sizeof filter, "load/#");
  else if (options.shape == SHARED) snprintf(filter, sizeof filter, "$share/bench/load/#");
  else name_topic(filter, sizeof filter, options.shape, number);
  struct bytes body = {0}, packet = {0};
  append16(&body, 1);
  if (options.version == 5) append_byte(&body, 0);
  append_text(&body, filter);
  append_byte(&body, options.qos);
  append_packet(&packet, 0x82, &body);
  write_all(fd, &packet);
  if (expect(fd, SUBACK) >= 0x80) fail("The broker refused %s", filter);
}

static void make_template(struct template *template, int number) {
  char topic[64];
  name_topic(topic, sizeof topic, options.shape, number);
  struct bytes body = {0}, properties = {0};
  append_text(&body, topic);
  size_t packet_id_at = body.length;
  if (options.qos > 0) append16(&body, 0);
  for (int i = 0; i < options.user_properties; i++) {
    char text[PROPERTY_BYTES];
    append_byte(&properties, 0x26);
    snprintf(text, sizeof text, "property-%d", i);
    append_text(&properties, text);
    snprintf(text, sizeof text, "value of %d", i);
    append_text(&properties, text);
  }
  if (options.version == 5) {
    append_integer(&body, properties.length);
    append(&body, properties.at, properties.length);
  }
  free(properties.at);
  size_t payload_at = body.length, body_length = body.length + (size_t)options.payload;
  memset(append(&body, NULL, (size_t)options.payload), 'x', (size_t)options.payload);
  append_packet(&template->packet, 0x30 | options.qos << 1, &body);
  size_t head = template->packet.length - body_length;
  template->packet_id_at = head + packet_id_at;
  template->payload_at = head + payload_at;
}

static void watch(struct client *client, int operation) {
  struct epoll_event event = {.events = EPOLLIN | (client->is_blocked ? EPOLLOUT : 0), .data.ptr = client};
  if (epoll_ctl(poll_fd, operation, client->fd, &event) < 0) fail("epoll_ctl: %s", strerror(errno));
}

static void line_up(struct client *client) {
  if (client->is_subscriber || client->is_lined_up) return;
  client->is_lined_up = true;
  line[(line_start + line_length++) % (size_t)options.publishers] = client;
}

static void connect_all(void) {
  for (int i = 0; i < options.subscribers + options.publishers; i++) {
    struct client *client = &clients[i];
    client->is_subscriber = i < options.subscribers;
    client->number = (uint32_t)(client->is_subscriber ? i : i - options.subscribers);
    client->fd = greet(client->is_subscriber, (int)client->number, !client->is_subscriber || !options.is_durable);
    if (client->is_subscriber) {
      subscribe(client->fd, (int)client->number);
      client->next = calloc((size_t)options.publishers, sizeof *client->next);
    } else {
      client->topics = calloc((size_t)topic_count, sizeof *client->topics);
      for (int t = 0; t < topic_count; t++) make_template(&client->topics[t], topic_count > 1 ? t : (int)client->number);
    }
    fcntl(client->fd, F_SETFL, O_NONBLOCK);
    watch(client, EPOLL_CTL_ADD);
  }
}

/* ── messages ── */

static void flush(struct client *client) {
  struct bytes *out = &client->out;
  while (client->out_start < out->length) {
    ssize_t took = write(client->fd, out->at + client->out_start, out->length - client->out_start);
    if (took < 0 && errno != EAGAIN) fail("A client lost its connection: %s", strerror(errno));
    if (took < 0) {
      if (!client->is_blocked) {
        client->is_blocked = true;
        watch(client, EPOLL_CTL_MOD);
      }
      return;
    }
    client->out_start += (size_t)took;
  }
  out->length = client->out_start = 0;
  if (!client->is_blocked) return;
  client->is_blocked = false;
  watch(client, EPOLL_CTL_MOD);
}

/* Messages with one stamp, in one write. */
static void publish(struct client *client, uint32_t count, uint64_t at) {
  for (uint32_t i = 0; i < count; i++) {
    struct template *template = &client->topics[client->sent % (uint32_t)topic_count];
    uint8_t *packet = append(&client->out, template->packet.at, template->packet.length);
    if (options.qos > 0) {
      client->packet_id = client->packet_id == 0xffff ? 1 : client->packet_id + 1;
      store16(packet + template->packet_id_at, client->packet_id);
    }
    uint8_t *payload = packet + template->payload_at;
    memcpy(payload, &client->number, 4);
    memcpy(payload + 4, &client->sent, 4);
    memcpy(payload + 8, &at, 8);
    client->sent++;
  }
  if (options.qos > 0) client->in_flight += count;
  sent += count;
  flush(client);
}

static void count_latency(uint64_t nanoseconds) {
  uint64_t us = nanoseconds / 1000;
  if (us > latency_max) latency_max = us;
  int octave = us < BUCKETS_PER_OCTAVE ? 0 : 58 - __builtin_clzll(us);
  uint64_t bucket = octave == 0 ? us : (us >> (octave - 1)) - BUCKETS_PER_OCTAVE;
  if (octave < OCTAVES) buckets[octave * BUCKETS_PER_OCTAVE + (int)bucket]++;
  counted++;
}

/* The lower edge of the bucket that holds the value of this rank. */
static double quantile(double share) {
  double seen = 0, rank = (double)(uint64_t)(share * counted);
  for (int i = 0; i < OCTAVES * BUCKETS_PER_OCTAVE; i++) {
    seen += buckets[i];
    int octave = i / BUCKETS_PER_OCTAVE;
    if (seen > rank) return octave == 0 ? i : (double)((uint64_t)(i % BUCKETS_PER_OCTAVE + BUCKETS_PER_OCTAVE) << (octave - 1));
  }
  return 0;
}

/* Whether the message comes in its turn. Of a publisher whose messages are dealt out, those of others are passed over. */
static void enter(struct client *client, uint32_t publisher, uint32_t number) {
  if (publisher >= (uint32_t)options.publishers) fail("A message that nobody sent arrived");
  uint32_t *next = &client->next[publisher];
  bool is_dealt = options.shape == SHARED || options.shape == SPREAD;
  if (number < *next) misplaced++;
  else {
    if (!is_dealt) missing += number - *next;
    *next = number + 1;
  }
}

static void answer(struct client *client, int head, uint32_t packet_id) {
  uint8_t *packet = append(&client->out, NULL, 4);
  packet[0] = (uint8_t)head;
  packet[1] = 2;
  store16(packet + 2, packet_id);
}

static void take(struct client *client, const uint8_t *bytes, size_t at, size_t body, size_t end, uint64_t arrived_at) {
  if (body + 2 > end || (size_t)options.payload > end - body) fail("A PUBLISH is too short");
  const uint8_t *payload = bytes + end - options.payload;
  uint32_t publisher, number;
  uint64_t stamp;
  memcpy(&publisher, payload, 4);
  memcpy(&number, payload + 4, 4);
  memcpy(&stamp, payload + 8, 8);
  received++;
  enter(client, publisher, number);
  if (is_measuring) count_latency(arrived_at > stamp ? arrived_at - stamp : 0);
  int qos = bytes[at] >> 1 & 3;
  if (qos > 0) answer(client, (qos == 1 ? PUBACK : PUBREC) << 4, load16(bytes + body + 2 + load16(bytes + body)));
}

static void handle(struct client *client, const uint8_t *bytes, size_t at, size_t body, size_t end, uint64_t arrived_at) {
  switch (bytes[at] >> 4) {
    case PUBLISH:
      take(client, bytes, at, body, end, arrived_at);
      return;
    case PUBACK:
    case PUBCOMP:
      client->in_flight--;
      acknowledged++;
      line_up(client);
      return;
    case PUBREC:
      answer(client, PUBREL << 4 | 2, load16(bytes + body));
      return;
    case PUBREL:
      answer(client, PUBCOMP << 4, load16(bytes + body));
      return;
    default:
      fail("The broker sent a packet of type %d", bytes[at] >> 4);
  }
}

static void receive(struct client *client) {
  static uint8_t *buffer;
  static size_t room;
  struct bytes *part = &client->part;
  if (room < part->length + READ_BYTES) {
    room = part->length + READ_BYTES;
    buffer = realloc(buffer, room);
  }
  memcpy(buffer, part->at, part->length);
  ssize_t got = read(client->fd, buffer + part->length, READ_BYTES);
  if (got < 0 && errno == EAGAIN) return;
  if (got <= 0) fail("A client lost its connection: %s", got == 0 ? "closed by the broker" : strerror(errno));
  uint64_t arrived_at = now();
  size_t end = part->length + (size_t)got, at = 0, body, next;
  for (; frame(buffer, at, end, &body, &next); at = next) handle(client, buffer, at, body, next, arrived_at);
  part->length = 0;
  if (at < end) append(part, buffer + at, end - at);
  if (!client->is_blocked && client->out.length > 0) flush(client);
}

static void poll_for(int ms) {
  static struct epoll_event events[EVENTS];
  int count = epoll_wait(poll_fd, events, EVENTS, ms);
  for (int i = 0; i < count; i++) {
    struct client *client = events[i].data.ptr;
    if (events[i].events & EPOLLOUT) flush(client);
    if (events[i].events & ~(uint32_t)EPOLLOUT) receive(client);
  }
}

/* ── the run ── */

/* Messages that may come under way now, as far as a batch goes. */
static uint32_t room_for(const struct client *client) {
  double room = options.batch;
  if (per_message > 0) {
    double left = options.outstanding - ((double)sent * per_message - (double)received);
    if (left <= 0) return 0;
    if (left < room * per_message) room = left < per_message ? 1 : left / per_message;
  }
  uint32_t open = (uint32_t)options.window - client->in_flight;
  return options.qos > 0 && open < room ? open : (uint32_t)room;
}

/* Those in line send what they may, each once; when too much is under way, the rest is first next time. True when any did. */
static bool publish_all(void) {
  bool any = false;
  for (size_t left = line_length; left > 0; left--) {
    struct client *client = line[line_start];
    uint32_t count = room_for(client);
    if (count == 0) break;
    line_start = (line_start + 1) % (size_t)options.publishers;
    line_length--;
    client->is_lined_up = false;
    if (!client->is_blocked) {
      publish(client, count, now());
      any = true;
    }
    /* With a full window it comes back with an acknowledgement. */
    if (options.qos == 0 || client->in_flight < (uint32_t)options.window) line_up(client);
  }
  return any;
}

static uint64_t next_due(void) {
  return started_at + (uint64_t)((double)sent / options.rate * 1e9);
}

/* Messages at even distances, each stamped with the time when it was due. */
static void publish_due(void) {
  for (uint64_t until = now(); next_due() <= until;) {
    publish(&clients[options.subscribers + (int)(sent % (uint64_t)options.publishers)], 1, next_due());
  }
}

/* Sleeps until something comes or the next message is due: whoever waits by asking takes a processor from what is measured. */
static void await_due(void) {
  int64_t left = (int64_t)(next_due() - now());
  if (left <= 0) return;
  struct timespec most = { left / 1000000000, left % 1000000000 };
  struct pollfd any = { poll_fd, POLLIN, 0 };
  ppoll(&any, 1, &most, NULL);
}

static void run_for(double ms) {
  uint64_t until = now() + (uint64_t)(ms * 1e6);
  while (now() < until) {
    if (options.rate > 0) {
      publish_due();
      await_due();
      poll_for(0);
    } else poll_for(publish_all() ? 0 : 1);
  }
}

/* Until all that was sent has arrived and is acknowledged, or nothing comes any more. */
static void drain(void) {
  uint64_t seen = 0, changed_at = now();
  while ((double)(now() - changed_at) / 1e6 < options.silence) {
    if ((double)received >= (double)sent * per_message && (options.qos == 0 || acknowledged == sent)) return;
    poll_for(20);
    if (received + acknowledged != seen) changed_at = now();
    seen = received + acknowledged;
  }
}

/* What lasts is taken away again: the broker may go on living. */
static void leave(void) {
  for (int i = 0; i < options.subscribers + options.publishers; i++) {
    struct client *client = &clients[i];
    if (write(client->fd, "\xe0", 2) < 0 && errno != EAGAIN) fail("A client lost its connection: %s", strerror(errno));
    close(client->fd);
    if (client->is_subscriber && options.is_durable) close(greet(true, (int)client->number, true));
  }
}

struct usage {
  double cpu, rss, own_cpu;
  uint64_t at, sent, received;
};

/* CPU seconds of all threads of the broker, to the nanosecond. */
static double cpu_seconds(void) {
  char path[300];
  double nanoseconds = 0;
  if (options.pid == 0) return -1;
  snprintf(path, sizeof path, "/proc/%d/task", options.pid);
  DIR *folder = opendir(path);
  if (folder == NULL) return -1;
  for (struct dirent *thread = readdir(folder); thread != NULL; thread = readdir(folder)) {
    if (thread->d_name[0] == '.') continue;
    snprintf(path, sizeof path, "/proc/%d/task/%.20s/schedstat", options.pid, thread->d_name);
    FILE *file = fopen(path, "r");
    double each;
    if (file == NULL) continue;
    if (fscanf(file, "%lf", &each) == 1) nanoseconds += each;
    fclose(file);
  }
  closedir(folder);
  return nanoseconds / 1e9;
}

static double resident_bytes(void) {
  char path[64], text[256];
  double kilobytes = -1;
  snprintf(path, sizeof path, "/proc/%d/status", options.pid);
  FILE *file = fopen(path, "r");
  if (file == NULL) return -1;
  while (fgets(text, sizeof text, file) != NULL && sscanf(text, "VmRSS: %lf", &kilobytes) != 1);
  fclose(file);
  return kilobytes * 1024;
}

static struct usage sample(void) {
  struct rusage own;
  getrusage(RUSAGE_SELF, &own);
  double own_seconds = (double)(own.ru_utime.tv_sec + own.ru_stime.tv_sec);
  double own_us = (double)(own.ru_utime.tv_usec + own.ru_stime.tv_usec);
  return (struct usage){cpu_seconds(), resident_bytes(), own_seconds + own_us / 1e6, now(), sent, received};
}

static void report(struct usage before, struct usage after) {
  double seconds = (double)(after.at - before.at) / 1e9;
  double in = (double)(after.sent - before.sent), out = (double)(after.received - before.received);
  double cpu = after.cpu - before.cpu, lost = (double)sent * per_message - (double)received;
  printf("{\"sentPerSecond\":%f,\"receivedPerSecond\":%f,\"latencyUs\":", in / seconds, out / seconds);
  if (counted == 0) printf("null");
  else {
    printf("{\"p50\":%.0f,\"p99\":%.0f,\"p999\":%.0f,", quantile(0.5), quantile(0.99), quantile(0.999));
    printf("\"max\":%llu}", (unsigned long long)latency_max);
  }
  printf(",\"lost\":%.0f,\"outOfOrder\":%llu", lost > 0 ? lost : 0, (unsigned long long)(missing + misplaced));
  unsigned long long unacknowledged = options.qos == 0 ? 0 : sent - acknowledged;
  printf(",\"unacknowledged\":%llu,\"seconds\":%f", unacknowledged, seconds);
  if (before.cpu < 0 || after.cpu < 0 || in + out == 0) {
    printf(",\"cpuUsPerMessage\":null,\"cpuShare\":null,\"rssBytes\":null");
  } else {
    printf(",\"cpuUsPerMessage\":%f,\"cpuShare\":%f,", cpu * 1e6 / (in + out), cpu / seconds);
    printf("\"rssBytes\":%.0f", after.rss);
  }
  printf(",\"generator\":\"C\",\"generatorCpuShare\":%f}\n", (after.own_cpu - before.own_cpu) / seconds);
}

static void turn(bool begins) {
  is_measuring = begins;
  printf("turned\n");
  fflush(stdout);
}

static void read_options(int count, char **arguments) {
  struct { const char *name; int *whole; double *real; } known[] = {
    {"port", &options.port, NULL}, {"pid", &options.pid, NULL}, {"shape", (int *)&options.shape, NULL},
    {"publishers", &options.publishers, NULL}, {"subscribers", &options.subscribers, NULL}, {"qos", &options.qos, NULL},
    {"version", &options.version, NULL}, {"payload", &options.payload, NULL}, {"window", &options.window, NULL},
    {"batch", &options.batch, NULL}, {"userProperties", &options.user_properties, NULL}, {"durable", &options.is_durable, NULL},
    {"outstanding", NULL, &options.outstanding}, {"rate", NULL, &options.rate}, {"warmUpMs", NULL, &options.warm_up},
    {"measureMs", NULL, &options.measure}, {"silenceMs", NULL, &options.silence},
  };
  for (int i = 1; i < count; i++) {
    char *value = strchr(arguments[i], '=');
    if (value == NULL) fail("%s: not NAME=VALUE", arguments[i]);
    *value++ = 0;
    bool is_known = strcmp(arguments[i], "host") == 0;
    if (is_known) options.host = value;
    for (size_t k = 0; k < sizeof known / sizeof *known; k++) {
      if (strcmp(arguments[i], known[k].name) != 0) continue;
      is_known = true;
      if (known[k].whole != NULL) *known[k].whole = atoi(value);
      else *known[k].real = atof(value);
    }
    if (!is_known) fail("%s: no such option", arguments[i]);
  }
  if (options.payload < PAYLOAD_MIN) fail("a payload has at least %d bytes", PAYLOAD_MIN);
}

int main(int count, char **arguments) {
  read_options(count, arguments);
  signal(SIGPIPE, SIG_IGN);
  /* Nanoseconds by which the kernel may wake us late: 50,000 unless it is told. */
  prctl(PR_SET_TIMERSLACK, 1);
  topic_count = options.shape == SPREAD ? options.subscribers : 1;
  per_message = options.shape == FAN_OUT || options.shape == FAN_IN ? options.subscribers : 1;
  clients = calloc((size_t)(options.subscribers + options.publishers), sizeof *clients);
  line = calloc((size_t)options.publishers, sizeof *line);
  poll_fd = epoll_create1(0);
  if (clients == NULL || line == NULL || poll_fd < 0) fail("%s", strerror(errno));
  connect_all();
  started_at = now();
  for (int i = 0; i < options.publishers; i++) line_up(&clients[options.subscribers + i]);
  run_for(options.warm_up);
  struct usage before = sample();
  turn(true);
  run_for(options.measure);
  turn(false);
  struct usage after = sample();
  drain();
  leave();
  report(before, after);
  return 0;
}
