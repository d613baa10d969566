import { describe, expect, test } from 'vitest';
import { PitrError, refusal } from '../../../../src/errors.ts';
import { carryOut, printPlan, type StepHandler } from '../../../../src/standby/steps/carry-out.ts';
import { textLog } from '../../../../src/system/log.ts';

type Step = 'rename' | 'copy' | 'end';

function world(failing?: Step, undoFailing?: Step) {
  const done: string[] = [];
  const said: string[] = [];
  const controller = new AbortController();
  const handler: StepHandler<Step> = {
    describe: (step) => `do ${step}`,
    run: (step) => {
      done.push(step);
      return step === failing ? Promise.reject(new Error(`${step} failed`)) : Promise.resolve();
    },
    undo: (step) => {
      done.push(`undo ${step}`);
      return step === undoFailing ? Promise.reject(new Error('stuck')) : Promise.resolve();
    },
  };
  const deps = {
    log: textLog({ debug: false }, (line) => said.push(line)),
    report: (line: string) => {
      said.push(line);
    },
    signal: controller.signal,
  };
  return { deps, handler, done, said, controller };
}

const plan: readonly Step[] = ['rename', 'copy', 'end'];

describe('carrying out a plan', () => {
  test('does every step in order and undoes nothing', async () => {
    const { deps, handler, done } = world();
    await carryOut(deps, plan, handler);
    expect(done).toEqual(plan);
  });

  test('a failure undoes what was begun, the failed step too, once and in reverse', async () => {
    const { deps, handler, done } = world('copy');
    await expect(carryOut(deps, plan, handler)).rejects.toThrow('copy failed');
    expect(done).toEqual(['rename', 'copy', 'undo copy', 'undo rename']);
  });

  test('stop_basebackup run although start failed: a step that was never begun is never undone', async () => {
    const { deps, handler, done } = world('rename');
    await expect(carryOut(deps, plan, handler)).rejects.toThrow('rename failed');
    expect(done).toEqual(['rename', 'undo rename']);
  });

  test('an undo that fails is said, and the others are still undone', async () => {
    const { deps, handler, done, said } = world('end', 'copy');
    await expect(carryOut(deps, plan, handler)).rejects.toThrow('end failed');
    expect(done.slice(3)).toEqual(['undo end', 'undo copy', 'undo rename']);
    expect(said).toEqual(['ERROR: could not undo "do copy": stuck\n']);
  });

  test('a refusal stays one only while nothing was changed, or all was taken back', async () => {
    const codeOf = async (
      steps: readonly Step[],
      more: Partial<StepHandler<Step>> = {},
      undoFailing?: Step,
    ) => {
      const { deps, handler } = world(undefined, undoFailing);
      const run = (step: Step) =>
        step === 'end' ? Promise.reject(refusal('no; nothing was changed')) : Promise.resolve();
      const error: unknown = await carryOut(deps, steps, { ...handler, run, ...more }).catch(
        (e: unknown) => e,
      );
      return error instanceof PitrError ? `${error.exitCode} ${error.message}` : error;
    };
    const leavesNothing = () => true;
    expect(await codeOf(['end'])).toBe('4 no; nothing was changed');
    expect(await codeOf(plan)).toBe('1 no');
    expect(await codeOf(plan, { leavesNothing })).toBe('4 no; nothing was changed');
    expect(await codeOf(plan, { leavesNothing }, 'copy')).toBe('1 no');
  });

  test('a signal between two steps stops there and undoes', async () => {
    const { deps, handler, done, controller } = world();
    const stopping = {
      ...handler,
      run: async (step: Step) => {
        await handler.run(step);
        controller.abort(new Error('stopped by SIGTERM'));
      },
    };
    await expect(carryOut(deps, plan, stopping)).rejects.toThrow('stopped by SIGTERM');
    expect(done).toEqual(['rename', 'undo rename']);
  });
});

test('a dry run prints every step and says that nothing was changed', () => {
  const { deps, handler, said, done } = world();
  printPlan(deps, plan, handler);
  expect(said).toEqual(['1. do rename', '2. do copy', '3. do end', 'Dry run: nothing was changed.']);
  expect(done).toEqual([]);
});
