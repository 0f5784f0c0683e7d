/** One listener of a mosquitto.conf: where it listens, its TLS, and what it holds its clients to. */

import { networkInterfaces } from 'node:os';
import { resolve } from 'node:path';
import { DEFAULT_CIPHERS } from 'node:tls';
import type { QoS } from '@pipit/protocol';
import { isMountPoint, isOrigin } from './config-schema.ts';
import type { ListenerSettings, TlsSettings } from './config-settings.ts';
import { isLoopbackHost } from './handshake-rules.ts';
import type { ListenerTerms } from './listener-options.ts';
import type { MosquittoValues } from './mosquitto-values.ts';

export interface MosquittoListener {
  readonly place: string;
  /** 0: a Unix socket. */
  readonly port: number;
  readonly address: string | undefined;
  readonly values: MosquittoValues;
}

interface Converted {
  readonly settings: ListenerSettings;
  readonly problems: readonly string[];
  readonly ignored: readonly string[];
}

export function listenerSettings(listening: MosquittoListener, folder: string): Converted {
  const conversion = new ListenerConversion(listening, folder);
  const settings = conversion.settings();
  return { settings, problems: conversion.problems, ignored: conversion.ignored };
}

class ListenerConversion {
  readonly problems: string[] = [];
  readonly ignored: string[] = [];
  readonly #listening: MosquittoListener;
  readonly #values: MosquittoValues;
  readonly #folder: string;

  constructor(listening: MosquittoListener, folder: string) {
    this.#listening = listening;
    this.#values = listening.values;
    this.#folder = folder;
  }

  settings(): ListenerSettings {
    const { port, address = '' } = this.#listening;
    const terms = this.#terms();
    if (port === 0) return { type: 'unix', path: resolve(this.#folder, address), ...terms };
    const isWebSocket = this.#isWebSocket();
    const place = { host: this.#host(), port, ...this.#proxied(), ...terms };
    const tls = this.#tls();
    if (!isWebSocket) return tls === null ? { type: 'tcp', ...place } : { type: 'tls', ...place, ...tls };
    const web = { ...place, ...this.#origins(place.host) };
    return tls === null ? { type: 'ws', ...web } : { type: 'wss', ...web, ...tls };
  }

  #isWebSocket(): boolean {
    const protocol = this.#values.text('protocol') ?? 'mqtt';
    if (protocol !== 'mqtt' && protocol !== 'websockets') {
      this.#wrong('protocol', `${protocol}: only mqtt and websockets are served`);
    }
    return protocol === 'websockets';
  }

  /** Without an address, or with one for its kind, everywhere: over IPv6 too where the machine has it. */
  #host(): string {
    const { address } = this.#listening;
    const domain = this.#values.text('socket_domain');
    if (domain !== undefined && domain !== 'ipv4' && domain !== 'ipv6') this.#wrong('socket_domain', `is no ${domain}`);
    if (address !== undefined) return address;
    if (domain === 'ipv6') {
      this.ignored.push(`${this.#values.placeOf('socket_domain')}: socket_domain ipv6: it is reached over IPv4, too`);
    }
    return domain === 'ipv4' || !hasIpv6() ? '0.0.0.0' : '::';
  }

  /** There whoever connects is believed. */
  #proxied(): { proxyProtocol?: string[] } {
    const version = this.#values.number('enable_proxy_protocol');
    return version === undefined ? {} : { proxyProtocol: ['0.0.0.0/0', '::/0'] };
  }

  #origins(host: string): { origins?: string[] } {
    const origins = this.#values.texts('websockets_origin');
    for (const origin of origins) if (!isOrigin(origin)) this.#wrong('websockets_origin', `${origin} is no origin`);
    if (origins.length > 0) return { origins: [...origins] };
    if (isLoopbackHost(host)) {
      const why =
        'web pages from elsewhere are not let in by a listener on a loopback address, unless websockets_origin names them';
      this.ignored.push(`${this.#listening.place}: ${why}`);
    }
    return {};
  }

  #tls(): TlsSettings | null {
    const values = this.#values;
    const path = (name: string): string | undefined => values.path(name, this.#folder);
    const [cert, key, ca, crl] = [path('certfile'), path('keyfile'), path('cafile'), path('crlfile')];
    const isRequired = values.flag('require_certificate') === true;
    if (cert === undefined || key === undefined) {
      if ((cert ?? key ?? ca) !== undefined) this.#wrong('TLS', 'it needs certfile and keyfile');
      for (const name of ['require_certificate', 'use_identity_as_username', 'use_subject_as_username']) {
        if (values.flag(name) === true) this.#wrong(name, 'it needs certfile and keyfile');
      }
      return null;
    }
    if (isRequired && ca === undefined) this.#wrong('require_certificate', 'it needs cafile');
    return {
      cert,
      key,
      ...(ca !== undefined && { ca }),
      ...(crl !== undefined && { crl }),
      ...this.#ciphers(),
      ...this.#minVersion(),
      clientCertificate: isRequired ? 'require' : 'none',
    };
  }

  /** Those of TLS 1.3 and those before it are two lists there, and one here. */
  #ciphers(): { ciphers?: string } {
    const older = this.#values.text('ciphers');
    const newer = this.#values.text('ciphers_tls1.3');
    if (older === undefined && newer === undefined) return {};
    const defaults = DEFAULT_CIPHERS.split(':');
    const of13 = newer ?? defaults.filter((name) => name.startsWith('TLS_')).join(':');
    return { ciphers: `${of13}:${older ?? defaults.filter((name) => !name.startsWith('TLS_')).join(':')}` };
  }

  #minVersion(): { minVersion?: 'TLSv1.3' } {
    const version = this.#values.text('tls_version');
    if (version === 'tlsv1.3') return { minVersion: 'TLSv1.3' };
    if (version === 'tlsv1.1' || version === 'tlsv1') {
      this.ignored.push(`${this.#values.placeOf('tls_version')}: tls_version ${version}: nothing below TLS 1.2`);
    } else if (version !== undefined && version !== 'tlsv1.2') this.#wrong('tls_version', `is no ${version}`);
    return {};
  }

  #terms(): ListenerTerms {
    const values = this.#values;
    const mountPoint = values.text('mount_point');
    const maximumQoS = values.number('maximum_qos') ?? values.number('max_qos');
    const connectionsMax = values.number('max_connections') ?? -1;
    const topicAliasMaximum = values.number('max_topic_alias');
    const usernameAsClientId = values.flag('use_username_as_clientid');
    if (mountPoint !== undefined && !isMountPoint(mountPoint)) this.#wrong('mount_point', `${mountPoint} is none`);
    if (maximumQoS !== undefined && ![0, 1, 2].includes(maximumQoS)) this.#wrong('max_qos', `is no ${maximumQoS}`);
    const isNamed = values.flag('use_identity_as_username') === true || values.flag('use_subject_as_username') === true;
    if (usernameAsClientId === true && isNamed) {
      this.#wrong('use_username_as_clientid', 'the name of a certificate cannot be a client id');
    }
    return {
      ...(mountPoint !== undefined && { mountPoint }),
      ...(maximumQoS !== undefined && { maximumQoS: maximumQoS as QoS }),
      ...(connectionsMax >= 0 && { connectionsMax }),
      ...(topicAliasMaximum !== undefined && { topicAliasMaximum: Math.max(0, Math.min(65_535, topicAliasMaximum)) }),
      ...(usernameAsClientId === true && { usernameAsClientId }),
    };
  }

  #wrong(name: string, what: string): void {
    this.problems.push(`${this.#values.placeOf(name) ?? this.#listening.place}: ${name}: ${what}`);
  }
}

function hasIpv6(): boolean {
  return Object.values(networkInterfaces()).some((addresses) => addresses?.some(({ family }) => family === 'IPv6'));
}

/** Whether this machine has the address. */
export function hasAddress(wanted: string): boolean {
  return Object.values(networkInterfaces()).some((addresses) => addresses?.some(({ address }) => address === wanted));
}
