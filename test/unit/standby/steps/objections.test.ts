import { expect, test } from 'vitest';
import { type Force, fullForce, noForce } from '../../../../src/standby/steps/force.ts';
import { type Objection, refuseOn, sayOverruled } from '../../../../src/standby/steps/objections.ts';

const objections: readonly Objection[] = [
  { name: 'primary-alive', message: 'it is alive', hint: 'Stop it.', cost: 'two take writes' },
  { name: 'archive', message: 'no archive' },
];
const always: Objection = { message: 'it is no standby' };

function warningsOf(force: Force): string[] {
  const warnings: string[] = [];
  const log = { warning: (text: string) => warnings.push(text) };
  sayOverruled({ log: log as never }, [...objections, always], force);
  return warnings;
}

test('every objection that is overruled is reported, and no other', () => {
  expect(warningsOf(noForce)).toEqual([]);
  expect(warningsOf({ kind: 'named', names: ['archive'] })).toEqual([
    'no archive; continuing anyway (--force=archive)',
  ]);
  expect(warningsOf(fullForce)).toEqual([
    'it is alive; continuing anyway (--force=primary-alive): two take writes',
    'no archive; continuing anyway (--force=archive)',
  ]);
});

test('no --force overrules an objection without a name', () => {
  expect(() => {
    refuseOn(objections, fullForce);
  }).not.toThrow();
  expect(() => {
    refuseOn([...objections, always], fullForce);
  }).toThrow('it is no standby; nothing was changed');
});
