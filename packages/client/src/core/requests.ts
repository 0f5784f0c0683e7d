/** SUBSCRIBE and UNSUBSCRIBE: asked in batches within what servers accept, answered filter by filter. */
import * as ReasonCode from '@pipit/protocol/reason-codes';
import type { Answers } from './answers.ts';
import { Call, Outgoing } from './call.ts';
import { writeSubscribe, writeUnsubscribe } from './client-packet.ts';
import { refusal } from './failure.ts';
import { type Interest, type Interests, UnsubscribeCall } from './interests.ts';
import type { CoreOptions } from './options.ts';
import type { Output } from './output.ts';
import { violation } from './packet-reader.ts';
import type { Sender } from './sender.ts';
import type { Server } from './server.ts';
import type { ServerPacket } from './server-packet.ts';

export class Requests {
  readonly #options: CoreOptions;
  readonly #interests: Interests;
  readonly #sender: Sender;
  readonly #output: Output;
  readonly #answers: Answers;

  constructor(options: CoreOptions, interests: Interests, sender: Sender, output: Output, answers: Answers) {
    this.#options = options;
    this.#interests = interests;
    this.#sender = sender;
    this.#output = output;
    this.#answers = answers;
  }

  /** A connection is there, or gone (`sessionPresent` true: what the server knows is unchanged). */
  reset(sessionPresent: boolean): void {
    const { flights } = this.#sender;
    for (const [packetId, flight] of flights.entries()) {
      if (flight instanceof Outgoing) continue;
      flights.delete(packetId);
      if (flight instanceof UnsubscribeCall) this.#interests.unanswered(flight);
    }
    this.#interests.reset(sessionPresent);
  }

  /** Asks the server for all that is to be asked. The Receive Maximum is no limit for this [MQTT-3.3.4-8]. */
  pump(server: Server): void {
    const sender = this.#sender;
    let most = this.#options.limits.filtersPerSubscribeMax;
    while (!sender.flights.isFull) {
      const batch = this.#interests.nextToAsk(most, server);
      if (batch.length === 0) break;
      if (this.#subscribe(batch, server)) continue;
      if (batch.length === 1) this.#interests.refuse(batch[0] as Interest, ReasonCode.PacketTooLarge);
      else for (const interest of batch) this.#interests.again(interest);
      most = Math.max(1, batch.length >> 1);
    }
    while (!sender.flights.isFull) {
      const call = this.#interests.nextToUnsubscribe();
      if (call === null) break;
      writeUnsubscribe(this.#output, call, sender.flights.open(call), this.#options.version);
    }
  }

  /** Throws DecodeError when it does not fit what was asked. */
  suback({ packetId, reasonCodes }: ServerPacket): void {
    const { flights } = this.#sender;
    const batch = flights.get(packetId);
    if (batch === undefined || batch instanceof Call) return;
    flights.delete(packetId);
    if (batch.length !== reasonCodes.length) throw violation('there is not one Reason Code for each filter');
    batch.forEach((interest, index) => {
      this.#interests.answered(interest, reasonCodes[index] as number);
    });
  }

  unsuback({ packetId, reasonCodes, properties }: ServerPacket): void {
    const { flights } = this.#sender;
    const call = flights.get(packetId);
    if (!(call instanceof UnsubscribeCall)) return;
    flights.delete(packetId);
    const refused = reasonCodes.find((code) => code >= ReasonCode.UnspecifiedError);
    if (refused === undefined) this.#answers.succeed(call, undefined);
    else this.#answers.fail(call, refusal('To unsubscribe', refused, properties));
  }

  /** False: the server takes no packet that large, and nothing was sent. */
  #subscribe(batch: Interest[], server: Server): boolean {
    const packetId = this.#sender.flights.open(batch);
    const isSent = writeSubscribe(this.#output, batch, packetId, this.#options.version, server.packetBytesMax);
    if (!isSent) this.#sender.flights.delete(packetId);
    return isSent;
  }
}
