import { describe, expect, test } from 'vitest';
import { PitrError, refusal } from '../../../../src/errors.ts';
import { carryOut, printPlan } from '../../../../src/standby/steps/carry-out.ts';
import type { BoundStep } from '../../../../src/standby/steps/step-table.ts';
import { textLog } from '../../../../src/system/log.ts';

type Name = 'rename' | 'copy' | 'end';

const names: readonly Name[] = ['rename', 'copy', 'end'];

function world(failing?: Name, undoFailing?: Name) {
  const done: string[] = [];
  const said: string[] = [];
  const controller = new AbortController();
  const plan = names.map((name): BoundStep => ({
    say: () => `do ${name}`,
    run: () => {
      done.push(name);
      return name === failing ? Promise.reject(new Error(`${name} failed`)) : Promise.resolve();
    },
    undo: () => {
      done.push(`undo ${name}`);
      return name === undoFailing ? Promise.reject(new Error('stuck')) : Promise.resolve();
    },
    leavesNothing: false,
  }));
  const deps = {
    log: textLog({ debug: false }, (line) => said.push(line)),
    report: (line: string) => {
      said.push(line);
    },
    signal: controller.signal,
  };
  return { deps, plan, done, said, controller };
}

describe('carrying out a plan', () => {
  test('runs every step in order and undoes nothing', async () => {
    const { deps, plan, done } = world();
    await carryOut(deps, plan);
    expect(done).toEqual(names);
  });

  test('undoes every step that was begun after a failure, including the failed one, once and in reverse', async () => {
    const { deps, plan, done } = world('copy');
    await expect(carryOut(deps, plan)).rejects.toThrow('copy failed');
    expect(done).toEqual(['rename', 'copy', 'undo copy', 'undo rename']);
  });

  test('does not undo a step that never began (bug of the original: stop_basebackup run although start failed)', async () => {
    const { deps, plan, done } = world('rename');
    await expect(carryOut(deps, plan)).rejects.toThrow('rename failed');
    expect(done).toEqual(['rename', 'undo rename']);
  });

  test('reports an undo that fails, and undoes the others', async () => {
    const { deps, plan, done, said } = world('end', 'copy');
    await expect(carryOut(deps, plan)).rejects.toThrow('end failed');
    expect(done.slice(3)).toEqual(['undo end', 'undo copy', 'undo rename']);
    expect(said).toEqual(['ERROR: could not undo "do copy": stuck\n']);
  });

  test('keeps a refusal a refusal only if nothing was changed, or everything was undone', async () => {
    const codeOf = async (count: number, leavesNothing = false, undoFailing?: Name) => {
      const { deps, plan } = world(undefined, undoFailing);
      const refuse = () => Promise.reject(refusal('no; nothing was changed'));
      const steps = plan.map((step) => ({ ...step, leavesNothing })).slice(-count);
      const error: unknown = await carryOut(
        deps,
        steps.map((step, index) => (index === count - 1 ? { ...step, run: refuse } : step)),
      ).catch((e: unknown) => e);
      return error instanceof PitrError ? `${error.exitCode} ${error.message}` : error;
    };
    expect(await codeOf(1)).toBe('4 no; nothing was changed');
    expect(await codeOf(3)).toBe('1 no');
    expect(await codeOf(3, true)).toBe('4 no; nothing was changed');
    expect(await codeOf(3, true, 'copy')).toBe('1 no');
  });

  test('stops after a signal between two steps, and undoes', async () => {
    const { deps, plan, done, controller } = world();
    const stopping = plan.map((step) => ({
      ...step,
      run: async () => {
        await step.run();
        controller.abort(new Error('stopped by SIGTERM'));
      },
    }));
    await expect(carryOut(deps, stopping)).rejects.toThrow('stopped by SIGTERM');
    expect(done).toEqual(['rename', 'undo rename']);
  });
});

test('prints every step in a dry run, and reports that nothing was changed', () => {
  const { deps, plan, said, done } = world();
  printPlan(deps, plan);
  expect(said).toEqual(['1. do rename', '2. do copy', '3. do end', 'Dry run: nothing was changed.']);
  expect(done).toEqual([]);
});
