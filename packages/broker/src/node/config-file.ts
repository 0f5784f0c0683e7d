/** The configuration as a YAML file: reading it with every problem at once, each with its line, and writing it. */

import { readFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { type Document, isMap, isSeq, LineCounter, parseDocument, stringify } from 'yaml';
import type { ZodError } from 'zod';
import { configurationSchema } from './config-schema.ts';
import {
  type AccessSettings,
  type AdminSettings,
  type AuthenticationSettings,
  type Configuration,
  ConfigurationError,
  type ListenerSettings,
} from './config-settings.ts';

type Issue = ZodError['issues'][number];
type Path = readonly PropertyKey[];

/** Rejects with a ConfigurationError. */
export async function readConfigurationFile(path: string): Promise<Configuration> {
  const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    const reason = error.code === 'ENOENT' ? 'there is no such file' : error.message;
    throw new ConfigurationError([`${path}: cannot be read: ${reason}`]);
  });
  const configuration = parseConfiguration(text, path);
  const folder = dirname(path);
  const { data, access, admin } = configuration;
  return {
    ...configuration,
    ...withAccessFiles(configuration, folder),
    ...(admin !== undefined && { admin: withPaths(admin, folder) }),
    ...(access !== undefined && { access: mapValues(access, (set) => withAccessFiles(set, folder)) }),
    data: data.durability === 'memory' ? data : { ...data, directory: resolve(folder, data.directory) },
    listeners: configuration.listeners.map((listener) => withPaths(listener, folder)),
  };
}

/** `name` is how problems call the file. Throws a ConfigurationError. */
export function parseConfiguration(text: string, name: string): Configuration {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  const place = (offset: number): string => `${name}:${lines.linePos(offset).line}`;
  const faults = document.errors.map(({ message, pos }) => `${place(pos[0])}: is not YAML: ${message}`);
  if (faults.length > 0) throw new ConfigurationError(faults);
  const read = configurationSchema.safeParse(contentOf(document, name), { error: sentenceOf });
  if (read.success) return read.data;
  const problems = read.error.issues.flatMap(problemsOf).map(({ path, sentence }) => {
    const where = path.length === 0 ? '' : `${pathText(path)}: `;
    const missing = document.hasIn(path) || path.length === 0 ? '' : ' (it is missing)';
    return { offset: offsetOf(document, path), text: `${where}${sentence}${missing}` };
  });
  problems.sort((a, b) => a.offset - b.offset);
  throw new ConfigurationError(problems.map(({ offset, text }) => `${place(offset)}: ${text}`));
}

export function configurationYaml(configuration: Configuration): string {
  return stringify(withoutSecrets(configuration));
}

/** Without passphrases, and without what is sent to an HTTP service to be let in. */
export function withoutSecrets(configuration: Configuration): object {
  const { listeners, admin, access } = configuration;
  return {
    ...withoutHeaders(configuration),
    listeners: listeners.map((listener) => withoutPassphrase(listener)),
    ...(admin !== undefined && { admin: withoutPassphrase(admin) }),
    ...(access !== undefined && { access: mapValues(access, withoutHeaders) }),
  };
}

function withoutHeaders<Settings extends AccessSettings>(settings: Settings): Settings {
  const authentication = settings.authentication?.map((one) => {
    if (!('headers' in one)) return one;
    const { headers: _, ...rest } = one;
    return rest;
  });
  return { ...settings, ...(authentication !== undefined && { authentication }) };
}

function mapValues<Value>(
  record: Readonly<Record<string, Value>>,
  map: (value: Value) => Value,
): Record<string, Value> {
  return Object.fromEntries(Object.entries(record).map(([name, value]) => [name, map(value)]));
}

function withoutPassphrase<Settings extends object>(settings: Settings): Settings {
  if (!('passphrase' in settings)) return settings;
  const { passphrase: _, ...rest } = settings;
  return rest as Settings;
}

function contentOf(document: Document, name: string): unknown {
  try {
    return document.toJS() ?? {};
  } catch (error) {
    throw new ConfigurationError([`${name}: is not YAML: ${(error as Error).message}`]);
  }
}

function withAccessFiles<Settings extends AccessSettings>(settings: Settings, folder: string): Settings {
  const { authentication, aclFile } = settings;
  return {
    ...settings,
    ...(aclFile !== undefined && { aclFile: resolve(folder, aclFile) }),
    ...(authentication !== undefined && { authentication: authentication.map((one) => withFiles(one, folder)) }),
  };
}

function withFiles(settings: AuthenticationSettings, folder: string): AuthenticationSettings {
  if (settings.type === 'passwords') return { ...settings, file: resolve(folder, settings.file) };
  if (settings.type !== 'jwt') return settings;
  const { keys, secretFile } = settings;
  return {
    ...settings,
    ...(keys !== undefined && { keys: keys.map((path) => resolve(folder, path)) }),
    ...(secretFile !== undefined && { secretFile: resolve(folder, secretFile) }),
  };
}

const fileSettings = new Set(['cert', 'key', 'ca', 'crl', 'tokensFile']);

function withPaths<Settings extends AdminSettings | ListenerSettings>(settings: Settings, folder: string): Settings {
  const paths: Record<string, string> = {};
  const isUnix = 'type' in settings && settings.type === 'unix';
  for (const [name, value] of Object.entries(settings)) {
    if (fileSettings.has(name) || (name === 'path' && isUnix)) paths[name] = resolve(folder, String(value));
  }
  return { ...settings, ...paths };
}

/** For what the schema has no sentence of its own. */
function sentenceOf(issue: { code?: string; expected?: unknown; options?: unknown }): string | undefined {
  if (issue.code === 'invalid_union') return `must be one of ${(issue.options as string[]).join(', ')}`;
  if (issue.code !== 'invalid_type') return undefined;
  return issue.expected === 'array' ? 'must be a list' : 'must be a mapping';
}

function problemsOf(issue: Issue): { path: Path; sentence: string }[] {
  if (issue.code !== 'unrecognized_keys') return [{ path: issue.path, sentence: issue.message }];
  return issue.keys.map((key) => ({ path: [...issue.path, key], sentence: 'there is no such setting' }));
}

/** `listeners[0].port` */
function pathText(path: Path): string {
  return path.reduce<string>((before, step) => {
    if (typeof step === 'number') return `${before}[${step}]`;
    return before === '' ? String(step) : `${before}.${String(step)}`;
  }, '');
}

/** Where the last part of the path that is there begins. */
function offsetOf(document: Document, path: Path): number {
  let node: unknown = document.contents;
  let offset = 0;
  for (const step of path) {
    if (isMap(node)) {
      const pair = node.items.find(({ key }) => String(key) === step);
      if (pair === undefined) return offset;
      offset = rangeOf(pair.key);
      node = pair.value;
    } else if (isSeq(node)) {
      node = node.items[Number(step)];
      offset = rangeOf(node);
    } else return offset;
  }
  return offset;
}

function rangeOf(node: unknown): number {
  return (node as { range?: readonly number[] | null }).range?.[0] ?? 0;
}
