/** Reading, checking and writing blocks of properties (section 2.2.2) as their table says. */
import type { ProtocolVersion, Sender } from './fixed-header.ts';
import {
  type Property,
  type PropertyPlace,
  type PropertyValues,
  propertyAllowed,
  propertyTable,
  type UserProperty,
} from './property-table.ts';
import type { Reader } from './reader.ts';
import * as ReasonCode from './reason-codes.ts';
import type { Writer } from './writer.ts';

/** A row of the table, with what it takes to read and write it here. */
interface NamedProperty extends Property {
  /** The standard's name. */
  readonly title: string;
  /** One bit of its own, for the set of properties already seen in a block. */
  readonly bit: number;
}

const properties: readonly NamedProperty[] = propertyTable.map((row, index) => {
  return { ...row, title: titleOf(row), bit: 1 << index };
});

/** `receiveMaximum` is the standard's `Receive Maximum`; of one that may occur more than once our name is the plural. */
function titleOf({ name, repeats }: Property): string {
  const one = repeats ? name.replace(/(ie)?s$/, (end) => (end === 'ies' ? 'y' : '')) : name;
  const [first = ''] = one;
  return first.toUpperCase() + one.slice(1).replaceAll(/[A-Z](?!$)/g, ' $&');
}

/** [place][id] → the property, where it is allowed. */
const byPlaceAndId: readonly (readonly (NamedProperty | undefined)[])[] = Array.from({ length: 16 }, (_, place) =>
  Array.from({ length: 0x2b }, (_, id) =>
    properties.find((property) => property.id === id && (property.places & (1 << place)) !== 0),
  ),
);

const byName: ReadonlyMap<string, NamedProperty> = new Map(properties.map((property) => [property.name, property]));

/** What the packet allows but this side may not send, in a sentence; undefined when it may. */
function senderProblem(property: NamedProperty, place: PropertyPlace, sender: Sender): string | undefined {
  return propertyAllowed(property, place, sender) ? undefined : `a ${sender} may not send ${property.title} here`;
}

/**
 * Reads the identifier of the next property and returns its row. `seen` is the set of the bits of the properties before
 * it in the block.
 */
export function readPropertyId(reader: Reader, place: PropertyPlace, sender: Sender, seen: number): NamedProperty {
  const at = reader.at;
  const id = reader.variableByteInteger('a property identifier');
  const property = byPlaceAndId[place]?.[id];
  if (property === undefined) {
    const known = properties.find((candidate) => candidate.id === id)?.title ?? `property 0x${id.toString(16)}`;
    return reader.fail(ReasonCode.MalformedPacket, `${known} is not allowed here`, at);
  }
  const problem = senderProblem(property, place, sender);
  if (problem !== undefined) reader.fail(ReasonCode.ProtocolError, problem, at);
  if ((seen & property.bit) !== 0 && !property.repeats) {
    reader.fail(ReasonCode.ProtocolError, `${property.title} occurs twice`, at);
  }
  return property;
}

/** Reads and checks the value behind the identifier without making anything of it; numbers are returned. */
export function checkPropertyValue(reader: Reader, property: NamedProperty): number {
  const { title } = property;
  const at = reader.at;
  switch (property.type) {
    case 'uint8':
    case 'boolean':
      return checkNumber(reader, property, reader.uint8(title), at);
    case 'uint16':
      return checkNumber(reader, property, reader.uint16(title), at);
    case 'uint32':
      return checkNumber(reader, property, reader.uint32(title), at);
    case 'variableByteInteger':
      return checkNumber(reader, property, reader.variableByteInteger(title), at);
    case 'binary':
      reader.skipBinary(title);
      return 0;
    case 'userProperty':
      reader.skipString(title); // [MQTT-1.5.7-1]
      reader.skipString(title);
      return 0;
    case 'topic':
      reader.skipString(title);
      checkTopicBytes(reader, title, at + 2, reader.at);
      return 0;
    case 'string':
      reader.skipString(title);
      return 0;
  }
}

function checkNumber(reader: Reader, property: NamedProperty, value: number, at: number): number {
  if (value < property.min || value > property.max) {
    reader.fail(property.valueCode, `${property.title} is ${value}`, at);
  }
  return value;
}

function checkTopicBytes(reader: Reader, title: string, start: number, end: number): void {
  if (start === end) reader.fail(ReasonCode.ProtocolError, `${title} is empty`, start); // [MQTT-4.7.3-1]
  for (let at = start; at < end; at++) {
    const byte = reader.bytes[at];
    // [MQTT-3.3.2-14]
    if (byte === 0x2b || byte === 0x23) reader.fail(ReasonCode.ProtocolError, `${title} contains a wildcard`, at);
  }
}

function readPropertyValue(reader: Reader, property: NamedProperty): unknown {
  const { title } = property;
  const at = reader.at;
  switch (property.type) {
    case 'string':
      return reader.string(title);
    case 'topic':
      checkPropertyValue(reader, property);
      reader.at = at;
      return reader.string(title);
    case 'binary':
      return reader.binary(title);
    case 'userProperty':
      return [reader.string(title), reader.string(title)]; // [MQTT-1.5.7-1]
    case 'boolean':
      return checkPropertyValue(reader, property) === 1;
    default:
      return checkPropertyValue(reader, property);
  }
}

/** Reads Property Length and the properties behind it; undefined when there are none. */
export function readProperties(reader: Reader, place: PropertyPlace, sender: Sender): PropertyValues | undefined {
  const blockEnd = reader.blockEnd('Property Length');
  if (blockEnd === reader.at) return undefined;
  const packetEnd = reader.end;
  reader.end = blockEnd;
  const values: Record<string, unknown> = {};
  let seen = 0;
  while (reader.left > 0) {
    const property = readPropertyId(reader, place, sender, seen);
    const value = readPropertyValue(reader, property);
    if (!property.repeats) values[property.name] = value;
    else if ((seen & property.bit) === 0) values[property.name] = [value];
    else (values[property.name] as unknown[]).push(value); // [MQTT-3.3.2-18]
    seen |= property.bit;
  }
  reader.end = packetEnd;
  return values;
}

/** Writes Property Length and the properties, in the order of their identifiers; before 5.0 there must be none. */
export function writeProperties(
  writer: Writer,
  version: ProtocolVersion,
  place: PropertyPlace,
  sender: Sender,
  values: PropertyValues | undefined,
): void {
  if (!hasProperties(values)) {
    if (version === 5) writer.uint8(0, 'Property Length'); // [MQTT-2.2.2-1]
    return;
  }
  if (version !== 5) writer.fail(ReasonCode.MalformedPacket, 'properties exist since 5.0 only');
  const record = values as Readonly<Record<string, unknown>>;
  let present = 0;
  for (const name of Object.keys(record)) {
    if (isAbsent(record[name])) continue;
    const property = byName.get(name);
    if (property === undefined || (property.places & (1 << place)) === 0) {
      writer.fail(ReasonCode.MalformedPacket, `${property?.title ?? name} is not allowed here`);
    }
    const problem = senderProblem(property, place, sender);
    if (problem !== undefined) writer.fail(ReasonCode.ProtocolError, problem);
    present |= property.bit;
  }
  writer.block('Property Length', () => {
    for (const property of properties) {
      if ((present & property.bit) !== 0) writeProperty(writer, property, record[property.name]);
    }
  });
}

/** Whether writing these properties would write any. */
export function hasProperties(values: PropertyValues | undefined): values is PropertyValues {
  return values !== undefined && Object.values(values).some((value) => !isAbsent(value));
}

function isAbsent(value: unknown): boolean {
  return value === undefined || (Array.isArray(value) && value.length === 0);
}

function writeProperty(writer: Writer, property: NamedProperty, value: unknown): void {
  if (!property.repeats) return writePropertyValue(writer, property, value);
  if (!Array.isArray(value)) writer.fail(ReasonCode.MalformedPacket, `${property.name} must be an array`);
  for (const item of value as unknown[]) writePropertyValue(writer, property, item);
}

function writePropertyValue(writer: Writer, property: NamedProperty, value: unknown): void {
  const { title } = property;
  writer.uint8(property.id, title);
  switch (property.type) {
    case 'string':
      return writer.string(value as string, title);
    case 'topic':
      checkTopic(writer, title, value as string);
      return writer.string(value as string, title);
    case 'binary':
      return writer.binary(value as Uint8Array, title);
    case 'userProperty': {
      if (!Array.isArray(value)) writer.fail(ReasonCode.MalformedPacket, `${title} must be a name and a value`);
      const [name, text] = value as unknown as UserProperty;
      writer.string(name, title);
      return writer.string(text, title);
    }
    case 'boolean':
      if (typeof value !== 'boolean') writer.fail(property.valueCode, `${title} must be true or false`);
      return writer.uint8(value ? 1 : 0, title);
    default:
      return writeNumber(writer, property, property.type, value as number);
  }
}

function checkTopic(writer: Writer, title: string, topic: string): void {
  if (topic === '') writer.fail(ReasonCode.ProtocolError, `${title} is empty`);
  if (/[+#]/.test(topic)) writer.fail(ReasonCode.ProtocolError, `${title} contains a wildcard`);
}

type NumberType = 'uint8' | 'uint16' | 'uint32' | 'variableByteInteger';

function writeNumber(writer: Writer, property: NamedProperty, type: NumberType, value: number): void {
  if (value < property.min || value > property.max) writer.fail(property.valueCode, `${property.title} is ${value}`);
  writer[type](value, property.title);
}
