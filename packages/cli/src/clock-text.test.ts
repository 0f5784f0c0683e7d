import assert from 'node:assert/strict';
import { test } from 'node:test';
import { momentNow, timeField } from './clock-text.ts';

const fields = (date: Date, letters: string): string =>
  [...letters].map((letter) => timeField(letter, { date, nanoseconds: 5 })).join(' ');

// As strftime of C has them.
test('a day in its year and weeks', () => {
  assert.equal(fields(new Date(2026, 10, 20), 'jUWVGgauwe'), '324 46 46 47 2026 26 Fri 5 5 20');
  assert.equal(fields(new Date(2021, 0, 1), 'jUWVGgauwe'), '001 00 00 53 2020 20 Fri 5 5  1');
  assert.equal(fields(new Date(2024, 11, 30), 'jUWVGgauwe'), '365 52 53 01 2025 25 Mon 1 1 30');
  assert.equal(fields(new Date(2023, 0, 1), 'jUWVGgauw'), '001 01 00 52 2022 22 Sun 7 0');
});

test('an hour in twelve and in twenty-four', () => {
  assert.equal(fields(new Date(2026, 0, 1, 0, 5, 9), 'HIklMSpPr'), '00 12  0 12 05 09 AM am 12:05:09 AM');
  assert.equal(fields(new Date(2026, 0, 1, 13, 5, 9), 'HIklMSpPR'), '13 01 13  1 05 09 PM pm 13:05');
});

test('whole dates, and what there is not', () => {
  const date = new Date(2026, 1, 3, 4, 5, 6);
  assert.equal(
    fields(date, 'cDFTxXhbBAyYC'),
    'Tue Feb  3 04:05:06 2026 02/03/26 2026-02-03 04:05:06 02/03/26 04:05:06 Feb Feb February Tuesday 26 2026 20',
  );
  assert.equal(fields(date, 'N!'), '000000005 %!');
  assert.match(fields(date, 'z'), /^[+-]\d{4}$/);
  assert.equal(fields(date, 's'), `${date.getTime() / 1000}`);
});

test('now is now', () => {
  const before = Date.now();
  const { date, nanoseconds } = momentNow();
  assert.ok(Math.abs(date.getTime() - before) < 60_000);
  assert.ok(nanoseconds >= 0 && nanoseconds < 1e9);
});
