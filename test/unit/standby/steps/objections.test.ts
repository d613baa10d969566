import { expect, test } from 'vitest';
import type { PitrError } from '../../../../src/errors.ts';
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

test('an action that answers for another one offers no --force, because it takes none itself', () => {
  const answered: Force = {
    kind: 'answered',
    by: '--rejoin',
    names: ['archive'],
    otherwise: (name) => `By hand: -B --force=${name}.`,
  };
  const hintsOf = (force: Force): string => {
    try {
      refuseOn([always, ...objections], force);
    } catch (error) {
      const { detail, hint } = error as PitrError;
      return `${hint ?? ''}\n${detail ?? ''}`;
    }
    return '';
  };
  expect(hintsOf(noForce)).toContain('it is alive. Stop it. --force=primary-alive continues anyway');
  expect(hintsOf(answered)).toBe('\nalso:\n- it is alive. Stop it. By hand: -B --force=primary-alive.');
  expect(hintsOf({ kind: 'answered', by: '--drill', names: [] })).not.toContain('--force');
  expect(warningsOf(answered)).toEqual(['no archive; continuing anyway (--rejoin)']);
});
