"""The driver of Paho (driven-client.ts says how it is spoken to). Argument: the file of the certificate authority."""

import json
import sys
import threading

import paho.mqtt.client as paho
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

DEADLINE_S = 20
CA_FILE = sys.argv[1]
VERSIONS = {"3.1": paho.MQTTv31, "3.1.1": paho.MQTTv311, "5.0": paho.MQTTv5}

telling = threading.Lock()
subscribers = {}


def tell(**told):
    with telling:
        sys.stdout.write(json.dumps(told) + "\n")
        sys.stdout.flush()


class Connection:
    """A connected client, its network loop on a thread of its own."""

    def __init__(self, endpoint, subscription, received=lambda message: None):
        self.connack = threading.Event()
        self.suback = threading.Event()
        self.granted = None
        version, transport = endpoint["version"], endpoint["transport"]
        durable_id = subscription.get("durableId")
        starting = {} if version == "5.0" else {"clean_session": durable_id is None}
        self.client = paho.Client(
            client_id=durable_id or "",
            protocol=VERSIONS[version],
            transport="websockets" if "WebSocket" in transport else "tcp",
            **starting,
        )
        if transport in ("TLS", "secure WebSocket"):
            self.client.tls_set(CA_FILE)
        will = subscription.get("will")
        if will:
            self.client.will_set(will["topic"], will["payload"], will["qos"], will["retain"])
        self.client.on_connect = self.connected
        self.client.on_subscribe = self.subscribed
        self.client.on_message = lambda client, data, m: received(
            {"topic": m.topic, "payload": m.payload.decode(), "qos": m.qos, "retain": bool(m.retain)}
        )
        self.connect(endpoint["address"], version, durable_id)

    def connect(self, port, version, durable_id):
        more = {}
        if version == "5.0":
            more["clean_start"] = durable_id is None
            if durable_id:
                more["properties"] = Properties(PacketTypes.CONNECT)
                more["properties"].SessionExpiryInterval = 3600
        self.client.connect("127.0.0.1", port, **more)
        self.client.loop_start()
        if not self.connack.wait(DEADLINE_S):
            raise RuntimeError("no CONNACK")
        if self.code_of(self.result) != 0:
            raise RuntimeError("refused: %s" % self.result)

    def connected(self, client, data, flags, result, properties=None):
        self.session_present = bool(flags["session present"])
        self.result = result
        self.connack.set()

    def subscribed(self, client, data, packet_id, granted, properties=None):
        self.granted = granted
        self.suback.set()

    def subscribe(self, filters, qos):
        for filter in filters:
            self.suback.clear()
            self.client.subscribe(filter, qos)
            if not self.suback.wait(DEADLINE_S):
                raise RuntimeError("no SUBACK")
            if any(self.code_of(code) > 2 for code in self.granted):
                raise RuntimeError("not granted: %s" % filter)

    def publish(self, messages):
        sent = [self.client.publish(m["topic"], m["payload"], m["qos"], m["retain"]) for m in messages]
        for message in sent:
            message.wait_for_publish(DEADLINE_S)
            if not message.is_published():
                raise RuntimeError("not acknowledged: %s" % message)

    def end(self):
        self.client.disconnect()
        self.client.loop_stop()

    @staticmethod
    def code_of(code):
        return getattr(code, "value", code)


def run(command):
    doing = command["do"]
    if doing == "publish":
        connection = Connection(command["endpoint"], {})
        connection.publish(command["messages"])
        connection.end()
        return {}
    if doing == "end":
        subscribers.pop(command["subscriber"]).end()
        return {}
    subscription = command["subscription"]
    connection = Connection(
        command["endpoint"], subscription, lambda message: tell(subscriber=command["id"], message=message)
    )
    connection.subscribe(subscription["filters"], subscription["qos"])
    if doing == "subscribe":
        subscribers[command["id"]] = connection
    else:
        connection.end()
    return {"sessionPresent": connection.session_present}


def answer(command):
    try:
        tell(done=command["id"], **run(command))
    except Exception as error:
        tell(failed=command["id"], why=repr(error))


for line in sys.stdin:
    threading.Thread(target=answer, args=(json.loads(line),), daemon=True).start()
