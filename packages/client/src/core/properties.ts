/** Blocks of properties (section 2.2.2), read from what a server sends and written into what a client does, by the table of `@pipit/protocol`. */
import {
  type Property,
  type PropertyPlace,
  type PropertyValues,
  propertyAllowed,
  propertyTable,
  type UserProperty,
} from '@pipit/protocol';
import { checkedInteger, notAllowed } from './failure.ts';
import type { Output } from './output.ts';
import { malformed, type PacketReader, violation } from './packet-reader.ts';

/** Reads Property Length and the properties behind it. Throws DecodeError. */
export function readProperties(reader: PacketReader, place: PropertyPlace): PropertyValues {
  const packetEnd = reader.end;
  const length = reader.variableByteInteger();
  if (length > reader.left) throw malformed('the properties go past the end of the packet');
  reader.end = reader.at + length;
  const values: Record<string, unknown> = {};
  while (reader.left > 0) {
    const id = reader.variableByteInteger();
    const property = propertyTable.find((row) => row.id === id && (row.places & (1 << place)) !== 0);
    if (property === undefined) throw malformed(`property ${id} is not allowed here`);
    const { name, repeats } = property;
    if (!propertyAllowed(property, place, 'server')) throw violation(`a server may not send ${name} here`);
    if (name in values && !repeats) throw violation(`${name} occurs twice`);
    const value = readValue(reader, property);
    if (!repeats) values[name] = value;
    else if (name in values)
      (values[name] as unknown[]).push(value); // [MQTT-3.3.2-18]
    else values[name] = [value];
  }
  reader.end = packetEnd;
  return values;
}

function readValue(reader: PacketReader, { name, type, min, max, valueCode }: Property): unknown {
  const value = type === 'boolean' ? reader.uint8() : reader[type]();
  if (typeof value !== 'number') return value;
  if (value < min || value > max) throw violation(`${name} is ${value}`, valueCode);
  return type === 'boolean' ? value === 1 : value;
}

/** Properties to be written; one that is undefined is not. */
type Values = { readonly [Name in keyof PropertyValues]?: PropertyValues[Name] | undefined };

/** Writes Property Length and the properties. Before 5.0 there are none. Throws MqttError for what a client may not send. */
export function writeProperties(
  output: Output,
  version: 4 | 5,
  place: PropertyPlace,
  properties: Values | undefined,
): void {
  const values = new Map<string, unknown>(Object.entries({ ...properties }));
  const write = (): void => {
    for (const row of propertyTable) {
      const value = values.get(row.name);
      if (value === undefined || version === 4 || (row.places & (1 << place)) === 0) continue;
      if (!propertyAllowed(row, place, 'client')) continue;
      values.delete(row.name);
      for (const each of row.repeats ? (value as unknown[]) : [value]) writeValue(output, row, each);
    }
  };
  if (version === 5) output.block(write);
  for (const [name, value] of values) if (value !== undefined) throw notAllowed(`${name} is not allowed here`);
}

const numberMax = { uint8: 0xff, uint16: 0xffff, uint32: 0xffff_ffff, variableByteInteger: 268_435_455 };

function writeValue(output: Output, { id, name, type, min, max, valueCode }: Property, value: unknown): void {
  output.uint8(id);
  switch (type) {
    case 'string':
    case 'topic':
      if (type === 'topic' && (value === '' || /[+#]/.test(value as string)))
        throw notAllowed(`${name} is no topic name`);
      return output.string(value as string, name);
    case 'binary':
      return output.binary(value as Uint8Array, name);
    case 'userProperty':
      for (const text of value as UserProperty) output.string(text, name);
      return;
    case 'boolean':
      return output.uint8(value === true ? 1 : 0);
    default:
      output[type](checkedInteger(value as number, min, Math.min(max, numberMax[type]), name, valueCode));
  }
}
