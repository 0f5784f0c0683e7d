import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { judge } from './gate.ts';
import { median } from './measure.ts';

const quiet = [1, 1.01, 0.99, 1.02, 1];

describe('the gate', () => {
  test('lets what costs as much or less pass', () => {
    assert.equal(judge(quiet, quiet).outcome, 'ok');
    assert.equal(judge(quiet, [0.5, 0.5, 0.5, 0.5, 0.5]).outcome, 'ok');
  });

  test('fails what costs more than a tenth more, and nothing below', () => {
    assert.equal(judge(quiet, [1.09, 1.09, 1.09, 1.09, 1.09]).outcome, 'ok');
    assert.equal(judge(quiet, [1.12, 1.11, 1.12, 1.13, 1.11]).outcome, 'slower');
    assert.ok(Math.abs(judge(quiet, [1.2, 1.2, 1.2]).change - 0.2) < 1e-9);
  });

  test('one run that was disturbed decides nothing, on either side', () => {
    assert.equal(judge([...quiet.slice(1), 9], [1, 1, 1, 1, 9]).outcome, 'ok');
    assert.equal(judge([...quiet.slice(1), 0.1], [1.2, 1.2, 1.2, 1.2, 0.1]).outcome, 'slower');
  });

  test('says nothing when the base differs from itself by 5 % or more', () => {
    const noisy = [1, 0.9, 1.1, 1.06, 0.99];
    assert.equal(judge(noisy, [2, 2, 2, 2, 2]).outcome, 'too noisy');
    assert.ok(judge(noisy, quiet).spread > 0.05);
  });

  test('of few runs none is left out of the spread', () => {
    assert.equal(judge([1, 1, 1.2], [2, 2, 2]).outcome, 'too noisy');
    assert.equal(judge([1, 1.01, 1.02], [2, 2, 2]).outcome, 'slower');
  });

  test('says so when one side was not measured', () => {
    assert.equal(judge([], quiet).outcome, 'not measured');
    assert.equal(judge(quiet, [1, 1]).outcome, 'not measured');
  });
});

describe('median', () => {
  test('is the middle one, or between the two in the middle', () => {
    assert.equal(median([3, 1, 2]), 2);
    assert.equal(median([4, 1, 3, 2]), 2.5);
    assert.equal(median([7]), 7);
    assert.ok(Number.isNaN(median([])));
  });
});
