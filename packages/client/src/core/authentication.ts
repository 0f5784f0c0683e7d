/** Enhanced authentication (section 4.12), the client's half: beside CONNECT, and again on a connection that is in use. */
import type { AuthProperties } from '@pipit/protocol';
import * as PacketType from '@pipit/protocol/packet-types';
import * as ReasonCode from '@pipit/protocol/reason-codes';
import type { Answers } from './answers.ts';
import type { Reauthentication } from './call.ts';
import { writeReason } from './client-packet.ts';
import { MqttError, notAllowed } from './failure.ts';
import type { Output } from './output.ts';
import { violation } from './packet-reader.ts';
import type { ServerPacket } from './server-packet.ts';

export class Authentication {
  /** Null: CONNECT has no method, and there is no AUTH either way. */
  readonly #method: string | null;
  readonly #output: Output;
  readonly #answers: Answers;
  /** A re-authentication that is under way. */
  #again: Reauthentication | null = null;
  /** The server waits for our data. */
  #isAsked = false;

  constructor(method: string | null, output: Output, answers: Answers) {
    this.#method = method;
    this.#output = output;
    this.#answers = answers;
  }

  get awaitsAnswer(): boolean {
    return this.#again !== null;
  }

  /** AUTH from the server: the challenge in it, or null when it was the last word. Throws DecodeError. */
  received({ reasonCode, properties }: ServerPacket): AuthProperties | null {
    const isOurs = this.#method !== null && properties.authenticationMethod === this.#method; // [MQTT-4.12.0-7]
    if (isOurs && reasonCode === ReasonCode.ContinueAuthentication) {
      this.#isAsked = true;
      return properties;
    }
    if (!isOurs || this.#again === null) throw violation('a packet out of turn');
    this.#answers.succeed(this.#again, undefined);
    this.#again = null;
    return null;
  }

  /** The answer to a challenge [MQTT-4.12.0-3]. One that comes when nobody waits for it any more is not sent. */
  answer(data: Uint8Array | null): void {
    if (this.#isAsked) this.#say(ReasonCode.ContinueAuthentication, data);
    this.#isAsked = false;
  }

  /** Begins again; `isConnected`: it is possible now. */
  begin(data: Uint8Array | null, call: Reauthentication, isConnected: boolean): void {
    if (this.#method === null || !isConnected || this.#again !== null) {
      return this.#answers.fail(call, notAllowed('Re-authentication is not possible now'));
    }
    this.#again = call;
    this.#say(ReasonCode.ReAuthenticate, data);
  }

  /** The connection is gone. */
  lost(): void {
    this.#isAsked = false;
    if (this.#again === null) return;
    this.#answers.fail(this.#again, new MqttError('connection', 'The connection was lost'));
    this.#again = null;
  }

  /** AUTH, with the method of CONNECT [MQTT-4.12.1-1]. */
  #say(reasonCode: number, data: Uint8Array | null): void {
    const authenticationMethod = this.#method ?? '';
    const properties = { authenticationMethod, ...(data !== null && { authenticationData: data }) };
    writeReason(this.#output, 5, PacketType.Auth, reasonCode, properties);
  }
}
