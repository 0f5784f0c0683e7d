/** What a packet identifier stands for when it is not a message: a SUBSCRIBE or an UNSUBSCRIBE on its way. */
import type { Interest, UnsubscribeCall } from './interests.ts';

export class SubscribeRequest {
  readonly interests: readonly Interest[];

  constructor(interests: readonly Interest[]) {
    this.interests = interests;
  }
}

export class UnsubscribeRequest {
  readonly call: UnsubscribeCall;

  constructor(call: UnsubscribeCall) {
    this.call = call;
  }
}

export type Request = SubscribeRequest | UnsubscribeRequest;
