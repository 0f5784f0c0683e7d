/** CONNECT that breaks the rules of its packet: what answers it in each version. */

import { describe, test } from 'node:test';
import { ReasonCode } from '@pipit/protocol';
import { announced, connack } from './packets.ts';
import { storeKinds, World } from './world.ts';

/** A CONNECT by hand: everything from the protocol name to the end of the payload, in hexadecimal. */
function connectBytes(body: string, first = '10'): string {
  const bytes = body.replaceAll(' ', '');
  return first + (bytes.length / 2).toString(16).padStart(2, '0') + bytes;
}

const mqtt = '00044d515454';
const mqisdp = '00064d5149736470';
/** Client id `a`. */
const idA = '0001 61';

for (const store of storeKinds) {
  describe(`malformed CONNECT, store: ${store}`, () => {
    // [what is wrong, flags, payload behind keep alive, also wrong in 3.1]
    const malformed: [string, string, string, boolean][] = [
      ['[MQTT-3.1.2-3] the reserved flag', '03', idA, false],
      ['[MQTT-3.1.2-11] Will QoS without a will', '0a', idA, false],
      ['[MQTT-3.1.2-13] Will Retain without a will', '22', idA, false],
      ['[MQTT-3.1.2-12] Will QoS 3', '1e', `${idA} 000174 0000`, true],
      ['[MQTT-3.1.2-9] a will without its fields', '06', idA, true],
      ['[MQTT-3.1.2-9] a will without its payload', '06', `${idA} 000174`, true],
      ['[MQTT-3.1.2-16] a user name that no flag announces', '02', `${idA} 000175`, true],
      ['[MQTT-3.1.2-17] a user name that is cut off', '82', `${idA} 00057575`, true],
      ['[MQTT-3.1.2-18] a password that no flag announces', '82', `${idA} 000175 000170`, true],
      ['[MQTT-3.1.2-19] a password that is cut off', 'c2', `${idA} 000175 000970`, true],
      ['[MQTT-3.1.3-3] no client id', '02', '', true],
      ['[MQTT-3.1.3-4] a client id that is not UTF-8', '02', '0003 eda080', true],
      ['[MQTT-3.1.3-4] a client id with U+0000', '02', '0001 00', true],
      ['[MQTT-3.1.3-11] a will topic with U+0000', '06', `${idA} 000100 0000`, true],
      ['[MQTT-3.1.3-12] a user name that is not UTF-8', '82', `${idA} 0001 ff`, true],
      ['[MQTT-3.1.4-1] bytes behind the end', '02', `${idA} 00`, true],
    ];
    for (const [title, flags, payload, isWrongIn31] of malformed) {
      test(`${title}: 5.0 is told 0x81, 3.x is closed without CONNACK [MQTT3-3.1.4-1]`, () => {
        const world = new World({ store });
        const v5 = world.open(5);
        const will = flags === '06' || flags === '1e' ? payload.replace(idA, `${idA} 00`) : payload;
        v5.sendRaw(connectBytes(`${mqtt} 05 ${flags} 0000 00 ${will}`));
        v5.expectRefused(ReasonCode.MalformedPacket);
        const v4 = world.open(4);
        v4.sendRaw(connectBytes(`${mqtt} 04 ${flags} 0000 ${payload}`));
        v4.expectRefused(null);
        const v3 = world.open(3);
        v3.sendRaw(connectBytes(`${mqisdp} 03 ${flags} 0000 ${payload}`));
        if (isWrongIn31) v3.expectRefused(null);
        else v3.expect(connack());
        world.end();
      });
    }

    test('[MQTT3-3.1.2-22] a password without a user name is for 5.0 only', () => {
      const world = new World({ store });
      const v5 = world.open(5);
      v5.sendRaw(connectBytes(`${mqtt} 05 42 0000 00 ${idA} 000170`));
      v5.expect(connack({ properties: announced }));
      const v4 = world.open(4);
      v4.sendRaw(connectBytes(`${mqtt} 04 42 0000 0001 62 000170`));
      v4.expectRefused(null);
      const v3 = world.open(3);
      v3.sendRaw(connectBytes(`${mqisdp} 03 42 0000 0001 63 000170`));
      v3.expectRefused(null);
      world.end();
    });

    test('3.1: a user name or password that is announced and missing is taken for absent', () => {
      const world = new World({ store });
      const client = world.open(3);
      client.sendRaw(connectBytes(`${mqisdp} 03 c2 0000 ${idA}`));
      client.expect(connack());
      world.end();
    });

    test('[MQTT-3.1.4-1] properties that break their rules get the code of the rule', () => {
      const world = new World({ store });
      const cases: [string, number][] = [
        ['06 210001 210001', ReasonCode.ProtocolError],
        ['03 210000', ReasonCode.ProtocolError],
        ['05 2700000000', ReasonCode.ProtocolError],
        ['02 1702', ReasonCode.ProtocolError],
        ['02 1902', ReasonCode.ProtocolError],
        ['04 16000164', ReasonCode.ProtocolError],
        ['03 23 0001', ReasonCode.MalformedPacket],
        ['02 7f00', ReasonCode.MalformedPacket],
        ['05 1100000000 00', ReasonCode.MalformedPacket],
      ];
      for (const [properties, code] of cases) {
        const client = world.open(5);
        client.sendRaw(connectBytes(`${mqtt} 05 02 0000 ${properties} ${properties.endsWith('00 00') ? '' : idA}`));
        client.expectRefused(code);
      }
      world.end();
    });

    test('[MQTT-4.7.0-1] a will topic with a wildcard is refused', () => {
      const world = new World({ store });
      const client = world.open(5);
      client.sendRaw(connectBytes(`${mqtt} 05 06 0000 00 ${idA} 00 00012b 0000`));
      client.expectRefused(ReasonCode.TopicNameInvalid);
      const v4 = world.open(4);
      v4.sendRaw(connectBytes(`${mqtt} 04 06 0000 ${idA} 000123 0000`));
      v4.expectRefused(null);
      world.end();
    });

    test('wrong flags in the fixed header of CONNECT', () => {
      const world = new World({ store });
      for (const first of ['11', '12', '18']) {
        const client = world.open(5);
        client.sendRaw(connectBytes(`${mqtt} 05 02 0000 00 ${idA}`, first));
        client.expectRefused(ReasonCode.MalformedPacket);
      }
      world.end();
    });

    test('a Remaining Length of five bytes is malformed', () => {
      const world = new World({ store });
      const client = world.open(5);
      client.sendRaw('10ffffffff01');
      client.expectRefused(null);
      world.end();
    });
  });
}
