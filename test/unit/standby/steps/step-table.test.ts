import { describe, expect, test } from 'vitest';
import { exitCodes, refusal } from '../../../../src/errors.ts';
import { perform } from '../../../../src/standby/steps/carry-out.ts';
import type { StepTable } from '../../../../src/standby/steps/step-table.ts';
import { textLog } from '../../../../src/system/log.ts';

type Step =
  { readonly kind: 'look' } | { readonly kind: 'write'; readonly name: string } | { readonly kind: 'refuse' };

const table: StepTable<Step, string[]> = {
  look: {
    say: () => 'look around',
    leavesNothing: true,
    run: (done) => done.push('look'),
  },
  write: {
    say: ({ name }) => `write ${name}`,
    run: (done, { name }) => done.push(`write ${name}`),
    undo: (done, { name }) => {
      done.push(`remove ${name}`);
      return Promise.resolve();
    },
  },
  refuse: {
    say: () => 'refuse',
    run: () => Promise.reject(refusal('it is not to be')),
  },
};

function world() {
  const said: string[] = [];
  const deps = {
    log: textLog({ debug: false }, (line) => said.push(line)),
    report: (line: string) => {
      said.push(line);
    },
    signal: new AbortController().signal,
  };
  return { deps, said, done: [] as string[] };
}

const write = (name: string): Step => ({ kind: 'write', name });

describe('the steps of a table', () => {
  test('run with their own data on the one context of the run', async () => {
    const { deps, done } = world();
    const steps = [{ kind: 'look' } as const, write('a'), write('b')];
    expect(await perform(deps, { dryRun: false }, steps, table, done)).toBe(true);
    expect(done).toEqual(['look', 'write a', 'write b']);
  });

  test('are only printed by a dry run', async () => {
    const { deps, done, said } = world();
    expect(await perform(deps, { dryRun: true }, [write('a')], table, done)).toBe(false);
    expect(done).toEqual([]);
    expect(said).toEqual(['1. write a', 'Dry run: nothing was changed.']);
  });

  test('are undone in reverse by their own entries, if these have an undo', async () => {
    const { deps, done } = world();
    const steps: readonly Step[] = [write('a'), { kind: 'look' }, write('b'), { kind: 'refuse' }];
    await expect(perform(deps, { dryRun: false }, steps, table, done)).rejects.toMatchObject({
      exitCode: exitCodes.failure,
    });
    expect(done).toEqual(['write a', 'look', 'write b', 'remove b', 'remove a']);
  });

  test('keep a refusal a refusal if the steps before it change nothing', async () => {
    const { deps, done } = world();
    const steps: readonly Step[] = [{ kind: 'look' }, { kind: 'refuse' }];
    await expect(perform(deps, { dryRun: false }, steps, table, done)).rejects.toMatchObject({
      exitCode: exitCodes.refused,
    });
  });
});
