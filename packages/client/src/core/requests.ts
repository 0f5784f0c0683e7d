/** SUBSCRIBE and UNSUBSCRIBE: asked in batches within what servers accept, answered filter by filter. */
import { FlightState } from '@pipit/protocol';
import * as ReasonCode from '@pipit/protocol/reason-codes';
import type { Answers } from './answers.ts';
import { writeSubscribe, writeUnsubscribe } from './client-packet.ts';
import { refusal } from './failure.ts';
import type { Interest, Interests } from './interests.ts';
import type { CoreOptions } from './options.ts';
import type { Output } from './output.ts';
import { violation } from './packet-reader.ts';
import { SubscribeRequest, UnsubscribeRequest } from './request.ts';
import type { Sender } from './sender.ts';
import type { Server } from './server.ts';
import type { ServerPacket } from './server-packet.ts';

export class Requests {
  readonly #options: CoreOptions;
  readonly #interests: Interests;
  readonly #sender: Sender;
  readonly #output: Output;
  readonly #answers: Answers;
  /** UNSUBSCRIBEs on their way on this connection. */
  #unsubscribing: UnsubscribeRequest[] = [];

  constructor(options: CoreOptions, interests: Interests, sender: Sender, output: Output, answers: Answers) {
    this.#options = options;
    this.#interests = interests;
    this.#sender = sender;
    this.#output = output;
    this.#answers = answers;
  }

  /** A connection is there, or gone (`sessionPresent` true: what the server knows is unchanged). */
  reset(sessionPresent: boolean): void {
    for (const { call } of this.#unsubscribing.splice(0)) this.#interests.unanswered(call);
    this.#interests.reset(sessionPresent);
  }

  /** Asks the server for all that is to be asked. The Receive Maximum is no limit for this [MQTT-3.3.4-8]. */
  pump(server: Server): void {
    const { window } = this.#sender;
    let most = this.#options.limits.filtersPerSubscribeMax;
    while (!window.isFull) {
      const batch = this.#interests.nextToAsk(most, server);
      if (batch.length === 0) break;
      if (this.#subscribe(batch, server)) continue;
      if (batch.length === 1) this.#interests.refuse(batch[0] as Interest, ReasonCode.PacketTooLarge);
      else for (const interest of batch) this.#interests.again(interest);
      most = Math.max(1, batch.length >> 1);
    }
    while (!window.isFull) {
      const call = this.#interests.nextToUnsubscribe();
      if (call === null) break;
      const request = new UnsubscribeRequest(call);
      const packetId = window.open(FlightState.AwaitAnswer, request);
      writeUnsubscribe(this.#output, call.filters, packetId, this.#options.version);
      this.#unsubscribing.push(request);
    }
  }

  /** Throws DecodeError when it does not fit what was asked. */
  suback({ packetId, reasonCodes }: ServerPacket): void {
    const request = this.#take(packetId);
    if (!(request instanceof SubscribeRequest)) return;
    if (request.interests.length !== reasonCodes.length) {
      throw violation('there is not one Reason Code for each filter');
    }
    request.interests.forEach((interest, index) => {
      this.#interests.answered(interest, reasonCodes[index] as number);
    });
  }

  unsuback({ packetId, reasonCodes, properties }: ServerPacket): void {
    const request = this.#take(packetId);
    if (!(request instanceof UnsubscribeRequest)) return;
    this.#unsubscribing = this.#unsubscribing.filter((other) => other !== request);
    const refused = reasonCodes.find((code) => code >= ReasonCode.UnspecifiedError);
    if (refused === undefined) this.#answers.succeed(request.call, undefined);
    else this.#answers.fail(request.call, refusal('To unsubscribe', refused, properties));
  }

  #take(packetId: number): unknown {
    const { window } = this.#sender;
    if (window.stateOf(packetId) !== FlightState.AwaitAnswer) return null;
    const item = window.itemOf(packetId);
    window.close(packetId);
    return item;
  }

  /** False: the server takes no packet that large, and nothing was sent. */
  #subscribe(batch: Interest[], server: Server): boolean {
    const { window } = this.#sender;
    const packetId = window.open(FlightState.AwaitAnswer, new SubscribeRequest(batch));
    const isSent = writeSubscribe(this.#output, batch, packetId, this.#options.version, server.packetBytesMax);
    if (!isSent) window.close(packetId);
    return isSent;
  }
}
