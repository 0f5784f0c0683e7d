import assert from 'node:assert/strict';
import { test } from 'node:test';
import { connackReturnCode, ReasonCode } from './reason-code.ts';
import { reasonCodeAllowed, reasonCodeName } from './reason-code-table.ts';

test('every code has the name the standard gives it', () => {
  assert.equal(reasonCodeName(ReasonCode.Success), 'Success');
  assert.equal(reasonCodeName(ReasonCode.SessionTakenOver), 'Session taken over');
  assert.equal(reasonCodeName(ReasonCode.QoSNotSupported), 'QoS not supported');
  const plain = (text: string): string => text.replaceAll(/[^a-z0-9]/gi, '').toLowerCase();
  const others = ['NormalDisconnection', 'GrantedQoS0', 'DisconnectWithWill', 'ClientIdentifierNotValid'];
  for (const [key, code] of Object.entries(ReasonCode)) {
    if (!others.includes(key)) assert.equal(plain(reasonCodeName(code)), key.toLowerCase());
  }
  assert.equal(reasonCodeName(0xff), 'Reason code 0xff');
  assert.equal(reasonCodeName(0x03), 'Reason code 0x03');
});

test('a CONNACK before 5.0 has six return codes; what none fits gets none', () => {
  const expected = new Map<ReasonCode, number>([
    [ReasonCode.Success, 0],
    [ReasonCode.UnsupportedProtocolVersion, 1],
    [ReasonCode.ClientIdentifierNotValid, 2],
    [ReasonCode.ServerUnavailable, 3],
    [ReasonCode.ServerBusy, 3],
    [ReasonCode.BadUserNameOrPassword, 4],
    [ReasonCode.NotAuthorized, 5],
    [ReasonCode.Banned, 5],
    [ReasonCode.BadAuthenticationMethod, 5],
  ]);
  for (const code of Object.values(ReasonCode)) assert.equal(connackReturnCode(code), expected.get(code));
});

test('no code is allowed that the table does not have', () => {
  for (const code of [0x03, 0x05, 0x7f, 0xa3, 0xff, 256, -1, 0.5]) {
    for (const type of [2, 4, 5, 6, 7, 9, 11, 14, 15] as const) {
      assert.equal(reasonCodeAllowed(code, type, 'server'), false);
      assert.equal(reasonCodeAllowed(code, type, 'client'), false);
    }
  }
});
