/** The pure core of the broker: for drivers, tests and simulators. Applications use `createBroker`. */

export { Connection, Phase } from './connection.ts';
export { Core, type Turn } from './core.ts';
export { type BrokerEvent, type DropReason, dropReasons } from './events.ts';
export {
  type ConnectionView,
  Inspection,
  type MissedView,
  type QueueView,
  type RetainedView,
  type RightView,
  type SessionView,
  type SubscriptionView,
  type Totals,
  type WaitingView,
} from './inspection.ts';
export { defaultLimits, type LimitName, type Limits } from './limits.ts';
export { type LocalSubscribe, LocalSubscriber } from './local.ts';
export type { LocalMessage, LocalPublish } from './local-message.ts';
export { storedCost } from './message.ts';
export { Counter, Metrics, packetNames } from './metrics.ts';
export {
  type Deed,
  filterCovers,
  type Groups,
  isFilterValue,
  type Mismatch,
  Permissions,
  type Rule,
  type Subject,
} from './permissions.ts';
export type {
  Acceptance,
  AuthenticationRequest,
  Authority,
  Batch,
  Capabilities,
  Change,
  Continuation,
  Durability,
  FetchRequest,
  PageRequest,
  Peer,
  Refusal,
  Store,
  StoredDelivery,
  StoredMessage,
  StoredPage,
  StoredSession,
  StoredState,
  StoredSubscription,
  Terms,
  TopicMapping,
  Verdict,
} from './ports.ts';
export { decodePropertyBlock, encodePropertyBlock } from './property-block.ts';
export type { Holder, Review, Standing } from './rights.ts';
export { Rows } from './rows.ts';
export { Slab } from './slab.ts';
export type { CoreOptions, Effect, LiveOptions, QueueOverflow } from './state.ts';
export { TextMap } from './text-map.ts';
export { type TraceRequest, type TraceStep, traceSteps, tracesMax } from './trace.ts';
export { Violation } from './violation.ts';
