/** Every option that Mosquitto's configuration has had since 1.6, up to 2.1, and what becomes of it here. */

/**
 * `general`: of the broker. `listener`: of the listener it stands under. `access`: of the broker, or of a listener with `per_listener_settings`.
 * `unneeded`: so here anyway, or about what there is not. `named`: not taken over, and said so. `stops`: guards something, and has no
 * counterpart. `bridge`: about the `connection` it stands under.
 */
export type MosquittoFate = 'general' | 'listener' | 'access' | 'unneeded' | 'named' | 'stops' | 'bridge';

const general =
  'per_listener_settings port bind_address persistence retained_persistence persistence_location max_inflight_messages max_queued_messages ' +
  'max_queued_bytes max_packet_size max_keepalive global_max_connections global_max_clients persistent_client_expiration ' +
  'retain_expiry_interval queue_qos0_messages sys_interval retain_available log_type log_dest connection_messages';

const listener =
  'protocol certfile keyfile cafile crlfile ciphers ciphers_tls1.3 tls_version require_certificate use_identity_as_username ' +
  'use_subject_as_username use_username_as_clientid max_connections mount_point maximum_qos max_qos max_topic_alias max_topic_alias_broker socket_domain ' +
  'listener_allow_anonymous listener_auto_id_prefix websockets_origin enable_proxy_protocol';

const access = 'allow_anonymous password_file acl_file allow_zero_length_clientid auto_id_prefix';

const unneeded =
  'set_tcp_nodelay autosave_interval autosave_on_changes persistence_file retry_interval store_clean_interval dhparamfile ' +
  'packet_buffer_size websockets_headers_size auth_plugin_deny_special_chars';

const stops =
  'plugin auth_plugin global_plugin plugin_load plugin_use psk_file psk_hint capath bind_interface clientid_prefixes ' +
  'accept_protocol_versions proxy_protocol_v2_require_tls';

const bridge =
  'connection address addresses topic keepalive_interval idle_timeout cleansession local_cleansession local_clientid local_password ' +
  'local_username notifications notifications_local_only notification_topic clientid remote_clientid password remote_password username ' +
  'remote_username restart_timeout round_robin start_type threshold try_private bridge_alpn bridge_attempt_unsubscribe bridge_bind_address ' +
  'bridge_cafile bridge_capath bridge_certfile bridge_ciphers bridge_ciphers_tls1.3 bridge_identity bridge_insecure bridge_keyfile ' +
  'bridge_max_packet_size bridge_max_topic_alias bridge_outgoing_retain bridge_protocol_version bridge_psk bridge_receive_maximum ' +
  'bridge_reload_type bridge_require_ocsp bridge_session_expiry_interval bridge_tcp_keepalive bridge_tcp_user_timeout ' +
  'bridge_tls_use_os_certs bridge_tls_version';

/** What to know of what is not taken over. `unless`: with this value there is nothing to say. */
export const namedOptions: Readonly<Record<string, { readonly why: string; readonly unless?: string }>> = {
  user: { why: 'it runs as whoever starts it: User= of the service manager' },
  pid_file: { why: 'the service manager knows the process' },
  log_facility: { why: 'the log goes to stderr' },
  log_timestamp: { why: 'every line has its time', unless: 'true' },
  log_timestamp_format: { why: 'times in the log are ISO 8601, or milliseconds in JSON' },
  websockets_log_level: { why: 'WebSockets are logged like every connection', unless: '0' },
  memory_limit: { why: 'each table and queue has a limit of its own' },
  message_size_limit: { why: 'max_packet_size bounds whole packets', unless: '0' },
  max_inflight_bytes: { why: 'max_inflight_messages bounds what is in flight', unless: '0' },
  allow_duplicate_messages: {
    why: 'where subscriptions overlap a message comes once, at the highest QoS of them',
    unless: 'false',
  },
  upgrade_outgoing_qos: {
    why: 'a message is never delivered at a higher QoS than it was published with',
    unless: 'false',
  },
  check_retain_source: {
    why: 'the right to publish is checked when a message is retained, and not again when it is read',
    unless: 'false',
  },
  http_dir: { why: 'only MQTT is served' },
  tls_engine: { why: 'keys are read from files' },
  tls_engine_kpass_sha1: { why: 'keys are read from files' },
  tls_keyform: { why: 'keys are PEM files', unless: 'pem' },
  disable_client_cert_date_checks: { why: 'the dates of certificates always count', unless: 'false' },
  enable_control_api: { why: 'there is an HTTP API instead: --admin', unless: 'false' },
};

const byFate = { general, listener, access, unneeded, stops, bridge, named: Object.keys(namedOptions).join(' ') };

export const mosquittoOptions: ReadonlyMap<string, MosquittoFate> = new Map(
  (Object.entries(byFate) as [MosquittoFate, string][]).flatMap(([fate, names]) =>
    names.split(' ').map((name) => [name, fate] as const),
  ),
);

/** Undefined: nobody knows it. */
export function fateOf(name: string): MosquittoFate | undefined {
  // For the plugin, which stops the start itself.
  return /^(auth|plugin)_opt_./.test(name) ? 'unneeded' : mosquittoOptions.get(name);
}
