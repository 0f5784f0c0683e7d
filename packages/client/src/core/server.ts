/** What the server of a connection takes and asks for, from its CONNACK (section 3.2.2.3); before 5.0 all of it is the default. */
import type { ConnackProperties, QoS } from '@pipit/protocol';
import type { SubscriptionSupport } from './interests.ts';
import { packetBytesMax } from './output.ts';

export interface Server extends SubscriptionSupport {
  readonly receiveMaximum: number;
  readonly maximumQoS: QoS;
  readonly retain: boolean;
  /** Of a whole packet. */
  readonly packetBytesMax: number;
  readonly topicAliasMaximum: number;
  /** 0: none. */
  readonly keepAliveMs: number;
}

/** `keepAliveSeconds` is what we asked for; the server's word takes its place [MQTT-3.1.2-21] [MQTT-3.2.2-21]. */
export function serverOf(properties: ConnackProperties, keepAliveSeconds: number): Server {
  return {
    receiveMaximum: properties.receiveMaximum ?? 65_535,
    maximumQoS: properties.maximumQoS ?? 2,
    retain: properties.retainAvailable ?? true,
    packetBytesMax: properties.maximumPacketSize ?? packetBytesMax,
    topicAliasMaximum: properties.topicAliasMaximum ?? 0,
    wildcards: properties.wildcardSubscriptionAvailable ?? true,
    shared: properties.sharedSubscriptionAvailable ?? true,
    identifiers: properties.subscriptionIdentifierAvailable ?? true,
    keepAliveMs: (properties.serverKeepAlive ?? keepAliveSeconds) * 1000,
  };
}
