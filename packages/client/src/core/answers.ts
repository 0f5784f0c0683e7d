/** Calls that got their answer in this turn, to be handed out. */
import type { Call, Settled } from './call.ts';
import type { MqttError } from './failure.ts';

export class Answers {
  /** Settled, in order. Taken by whoever runs the turn. */
  settled: Settled[] = [];

  succeed<Result>(call: Call<Result>, result: Result): void {
    if (call.isSettled) return;
    call.isSettled = true;
    call.result = result;
    this.settled.push(call);
  }

  fail(call: Settled, failure: MqttError): void {
    if (call.isSettled) return;
    call.isSettled = true;
    call.failure = failure;
    this.settled.push(call);
  }

  take(): Settled[] {
    const taken = this.settled;
    if (taken.length > 0) this.settled = [];
    return taken;
  }
}
