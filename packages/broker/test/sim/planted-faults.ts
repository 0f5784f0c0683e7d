/** What a broker that keeps its promises only in fair weather gets wrong: the faults of the simulator. */

import type { Mutant } from '../mutants.ts';

export type Fault = Omit<Mutant, 'cases'>;

const sending = 'broker/src/core/sending.ts';
const publish = 'broker/src/core/publish.ts';
const acknowledgement = 'broker/src/core/acknowledgement.ts';
const sessions = 'broker/src/core/sessions.ts';
const will = 'broker/src/core/will.ts';

export const faults: readonly Fault[] = [
  {
    name: 'PUBREL before its commit',
    file: sending,
    find: 'state.journal.sent(session, delivery, true);\n    waits = true;',
    replace: 'state.journal.sent(session, delivery, true);',
  },
  {
    name: 'QoS 2 PUBLISH before its commit',
    file: sending,
    find: 'return delivery.qos === 2;',
    replace: 'return false;',
  },
  {
    name: 'PUBCOMP before its commit',
    file: publish,
    find: "kind: 'completed', key: session.key, incarnation: session.incarnation, packetId });\n    waits = true;",
    replace: "kind: 'completed', key: session.key, incarnation: session.incarnation, packetId });",
  },
  {
    name: 'an acknowledgement overtakes a held one',
    file: acknowledgement,
    find: 'const waits = changed || connection.isHolding;',
    replace: 'const waits = changed;',
  },
  {
    name: 'PUBACK and PUBREC before their commit',
    file: acknowledgement,
    find: 'const waits = changed || connection.isHolding;',
    replace: 'const waits = connection.isHolding;',
  },
  {
    name: 'SUBACK and UNSUBACK before their commit',
    file: 'broker/src/core/subscribe.ts',
    find: 'changed ||= state.journal?.mark !== before;',
    replace: '',
  },
  {
    name: 'CONNACK before its commit',
    file: 'broker/src/core/connect.ts',
    find: 'connection.holdsAll = isEnding || state.journal?.mark !== before;',
    replace: 'connection.holdsAll = isEnding && state.journal?.mark !== before;',
  },
  {
    name: 'received QoS 2 ids forgotten by a restart',
    file: 'broker/src/core/durability.ts',
    find: 'session.received.add(packetId);',
    replace: '',
  },
  {
    name: 'a failed commit taken for done',
    file: 'broker/src/core/journal.ts',
    find: 'if (error === null) {',
    replace: 'if (error === null || this.failures > 0) {',
  },
  {
    name: 'a queue that ignores its limit',
    file: 'broker/src/core/line.ts',
    find: 'Math.min(limits.queueMessagesMax, queueTotal.freeMessages) &&\n    bytes',
    replace: 'Math.min(2 * limits.queueMessagesMax, queueTotal.freeMessages) &&\n    bytes',
  },
  {
    name: 'Will Delay ignored',
    file: will,
    find: 'const dueAt = session.closedAt + delaySeconds * 1000;',
    replace: 'const dueAt = session.closedAt + delaySeconds * 0;',
  },
  {
    name: 'a delayed will published although its session was resumed',
    file: sessions,
    find: '  cancelWill(state, session);',
    replace: '  publishWill(state, session);',
  },
  {
    name: 'shared messages lost with their member',
    file: 'broker/src/core/passing.ts',
    find: 'deliver(state, session, state.publication, qos, retainAsPublished, identifiers, group);',
    replace: '',
  },
  {
    name: 'what an ended session leaves is not on the disk',
    file: sessions,
    find: 'journal?.renamed(session, key);',
    replace: 'journal?.ended(session);',
  },
  {
    name: 'the oldest displaced where the newest should go',
    file: 'broker/src/core/line.ts',
    find: "state.options.queueOverflow !== 'drop-oldest' || ",
    replace: '',
  },
  {
    name: 'a full queue refuses nobody',
    file: 'broker/src/core/refusal.ts',
    find: "state.options.queueOverflow !== 'refuse' || ",
    replace: "state.options.queueOverflow === 'refuse' || ",
  },
  {
    name: 'deliveries kept in a burst are forgotten',
    file: 'broker/src/core/core.ts',
    find: 'else this.state.dirty.push(connection);',
    replace: 'else connection.isDirty = false;',
  },
  {
    name: 'a revoked right goes on',
    file: 'broker/src/core/core.ts',
    find: 'state.permissionEpoch++;\n    state.router.version++;',
    replace: 'state.permissionEpoch++;',
  },
  {
    name: 'what waits in the store outlives its right',
    file: 'broker/src/core/weeding.ts',
    find: 'state.wake(session.tailReader.sweep);',
    replace: 'session.tailReader = null;',
  },
  {
    name: 'a retained message replayed although it came live',
    file: 'broker/src/core/retained-cursor.ts',
    find: 'return entry < 0 || this.retained.orderOf(entry) > this.order ? none : entry;',
    replace: 'return entry;',
  },
  {
    name: 'a retained value read from the store is sent although another came meanwhile',
    file: 'broker/src/core/replay.ts',
    find: 'const isCurrent = retained.orderOf(entry) === order && retained.expiresAt(entry) > state.now;',
    replace: 'const isCurrent = retained.orderOf(entry) > 0 && retained.expiresAt(entry) > state.now;',
  },
  {
    name: 'a retained value is let go before it lasts',
    file: 'broker/src/core/retained.ts',
    find: 'if (this.orderOf(entry) > this.lastingOrder) return;',
    replace: '',
  },
  {
    name: 'a PUBCOMP after a resume lets too many out',
    file: sending,
    find: 'if (delivery?.isUncounted !== true) returnQuota(session);',
    replace: 'returnQuota(session);',
  },
  {
    name: 'expired messages sent from the queue',
    file: 'broker/src/core/pump.ts',
    find: "if (delivery.message.expiresAt <= state.now) return 'expired';",
    replace: '',
  },
  {
    name: 'a packet id settled by a wrong neighbour',
    file: 'protocol/src/flow/send-window.ts',
    find: 'return id >= this.oldest ? id - this.oldest : id + idsMax - this.oldest;',
    replace: 'return id >= this.oldest ? id - this.oldest : id + idsMax + 1 - this.oldest;',
  },
];
