/** Pipit's MQTT broker for Node programs. The pure core alone is `@pipit/broker/core`. */

export { type Admin, type AdminOptions, type LogLevels, openAdmin } from './admin/admin.ts';
export { type NewToken, TokenFileError } from './admin/tokens.ts';
export { Access, type AccessFailure, type AccessPlan } from './auth/access.ts';
export { AclFileError, type AclRule, parseAcl } from './auth/acl-file.ts';
export { anonymousAuthority, anonymousJudge } from './auth/anonymous.ts';
export { BackOff, type BackOffOptions } from './auth/back-off.ts';
export { type Ban, type BanType, banTypes, type ListedBan } from './auth/ban-list.ts';
export { type CertificateIdentity, certificateJudge } from './auth/certificate.ts';
export { chain, type Judge, type JudgeAnswer, type JudgeRefusal, type Pass, type Word } from './auth/chain.ts';
export type { AccessSet, PlannedJudge } from './auth/gate.ts';
export { type HttpOptions, httpJudge } from './auth/http.ts';
export { jwtJudge } from './auth/jwt.ts';
export { readJwtKeys, readJwtSecret } from './auth/jwt-keys.ts';
export type { JwtAlgorithm, JwtKey, JwtOptions } from './auth/jwt-options.ts';
export { hostOf } from './auth/network-address.ts';
export { PasswordFile, PasswordFileError, parsePasswords } from './auth/password-file.ts';
export { hashPassword } from './auth/password-hash.ts';
export { type Identification, permitting } from './auth/permitting.ts';
export type {
  Acceptance,
  AuthenticationRequest,
  Authority,
  Batch,
  BrokerEvent,
  Capabilities,
  Change,
  Continuation,
  Deed,
  DropReason,
  Durability,
  FetchRequest,
  Groups,
  Holder,
  Inspection,
  Limits,
  LocalMessage,
  Mismatch,
  PageRequest,
  Peer,
  Refusal,
  Review,
  Rule,
  Standing,
  Store,
  StoredDelivery,
  StoredMessage,
  StoredPage,
  StoredSession,
  StoredState,
  StoredSubscription,
  Subject,
  Terms,
  TopicMapping,
  TraceRequest,
  TraceStep,
  Verdict,
} from './core/index.ts';
export { Counter, defaultLimits, filterCovers, Metrics, Permissions, Violation } from './core/index.ts';
export { planAccess } from './node/access.ts';
export type { BrokerOptions } from './node/broker.ts';
export { Broker, createBroker } from './node/broker.ts';
export {
  brokerOptions,
  configuredAdmin,
  configuredStore,
  formatConfiguration,
  notTakenOver,
  readConfiguration,
  reloadOptions,
  shownConfiguration,
} from './node/config.ts';
export type {
  AdminSettings,
  Configuration,
  DataSettings,
  ListenerSettings,
  LogArea,
  LogFormat,
  LogLevel,
  TlsSettings,
} from './node/config-settings.ts';
export {
  ConfigurationError,
  defaultConfiguration,
  defaultData,
  logAreas,
  logFormats,
  logLevels,
} from './node/config-settings.ts';
export { DirectoryInUseError } from './node/directory-lock.ts';
export type { AnyEvent, EventHandler, EventOf, EventType, ServiceEvent } from './node/event-hub.ts';
export { ListenError } from './node/listen-error.ts';
export type { Listener } from './node/listener.ts';
export type { ListenerOptions } from './node/listener-options.ts';
export { hostAndPort, listenerUrl } from './node/listener-options.ts';
export type { StoreOptions } from './node/log-store.ts';
export { LogStore, openStore } from './node/log-store.ts';
export type { SubscribeOptions } from './node/program.ts';
export { PublishError, type PublishOptions } from './node/program-publish.ts';
export type { ListenerChanges, ReloadOptions, ReloadReport } from './node/reload.ts';
export { StoreError } from './node/store-error.ts';
export type { ExportOptions } from './node/store-export.ts';
export { exportStore } from './node/store-export.ts';
export type { ImportReport } from './node/store-import.ts';
export { importStore } from './node/store-import.ts';
export type { SegmentSummary, SessionSummary, SharedMessage } from './node/store-reader.ts';
export { readStore, StoreReader } from './node/store-reader.ts';
export { repairStore, type StoreRepair } from './node/store-repair.ts';
export type { ClaimHandler, MessageHandler, Subscription } from './node/subscription.ts';
export type { TlsOptions } from './node/tls-options.ts';
export type { Loss } from './store/catalog.ts';
export type { LogReport } from './store/contents.ts';
export type { Damage } from './store/set-aside.ts';
