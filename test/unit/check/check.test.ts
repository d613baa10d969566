import { describe, expect, test, vi } from 'vitest';
import { checkNames, requireKnown } from '../../../src/check/arguments.ts';
import {
  checkLimitS,
  type Checks,
  dependent,
  failure,
  good,
  of,
  overall,
  runChecks,
} from '../../../src/check/check.ts';
import { checkJson, type CheckReport, checkView } from '../../../src/check/show.ts';
import { PitrError } from '../../../src/errors.ts';
import { NotKnown } from '../../../src/status/fact.ts';
import { textLog } from '../../../src/system/log.ts';

const deps = {
  monotonicMs: () => 0,
  log: textLog({ debug: false }),
  signal: new AbortController().signal,
};

const checks: Checks<string> = {
  slow: {
    what: '',
    run: async (context) => {
      await Promise.resolve();
      return [of('a', good(context)), of('b', failure('b is down', 'Start it.'))];
    },
  },
  mistake: {
    what: '',
    run: () => Promise.reject(new PitrError('pgdata is wrong', { detail: 'x', hint: 'Correct it.' })),
  },
  notKnown: { what: '', run: () => Promise.reject(new NotKnown('nobody answers')) },
  bug: { what: '', run: () => Promise.reject(new TypeError('undefined is not a function')) },
};

test('a check that was skipped for the sake of another one is unknown if that one was not run', async () => {
  const dependents: Checks<string> = {
    ssh: { what: '', run: () => Promise.resolve(failure('beta does not answer')) },
    archive: { what: '', run: () => Promise.resolve(dependent('it was not reached', 'ssh')) },
  };
  const resultsOf = async (names: readonly string[]) =>
    (await runChecks(deps, dependents, names, '')).map((found) => ({ ...found, tookS: 0 }));
  const says = 'it was not reached: see the check ssh';
  expect((await resultsOf([]))[1]).toEqual({ name: 'archive', result: 'skipped', says, tookS: 0 });
  expect(await resultsOf(['archive'])).toEqual([{ name: 'archive', result: 'unknown', says, tookS: 0 }]);
});

describe('the checks', () => {
  test('come in their order, and one that throws ends no other', async () => {
    const found = await runChecks(deps, checks, [], 'well');
    expect(found.map(({ name, about, result, says, hint }) => [name, about, result, says, hint])).toEqual([
      ['slow', 'a', 'ok', 'well', undefined],
      ['slow', 'b', 'failed', 'b is down', 'Start it.'],
      ['mistake', undefined, 'failed', 'pgdata is wrong (x)', 'Correct it.'],
      ['notKnown', undefined, 'unknown', 'nobody answers', undefined],
      ['bug', undefined, 'unknown', 'undefined is not a function', undefined],
    ]);
    expect(overall(found)).toBe('failed');
  });

  test('are only those that were named', async () => {
    const found = await runChecks(deps, checks, ['bug', 'notKnown'], '');
    expect(found.map(({ name }) => name)).toEqual(['notKnown', 'bug']);
    expect(overall(found)).toBe('unknown');
    expect(overall([good('')])).toBe('ok');
    expect(overall([{ result: 'skipped' }])).toBe('ok');
  });

  test('are unknown if they do not end', async () => {
    vi.useFakeTimers();
    try {
      const never = { never: { what: '', run: () => new Promise<never>(() => undefined) } };
      const found = runChecks(deps, never, [], '');
      await vi.advanceTimersByTimeAsync(checkLimitS * 1000);
      expect(await found).toMatchObject([
        { result: 'unknown', says: `it did not end within ${checkLimitS} s` },
      ]);
    } finally {
      vi.useRealTimers();
    }
  });

  test('end with the program', async () => {
    const controller = new AbortController();
    const stopped = { stopped: { what: '', run: () => Promise.reject(new Error('killed')) } };
    controller.abort(new PitrError('stopped by SIGTERM'));
    await expect(runChecks({ ...deps, signal: controller.signal }, stopped, [], '')).rejects.toThrow(
      'stopped by SIGTERM',
    );
  });
});

describe('the names of checks', () => {
  test.each<[readonly string[] | true, string[]]>([
    [true, []],
    [
      ['ssh', 'clock'],
      ['ssh', 'clock'],
    ],
    [['ssh,clock'], ['ssh', 'clock']],
  ])('%j', (given, names) => {
    expect(checkNames(given)).toEqual(names);
  });

  test('must be known', () => {
    requireKnown(['bug'], checks);
    expect(() => {
      requireKnown(['bug', 'toString'], checks);
    }).toThrow('there is no check "toString"');
  });
});

const report: CheckReport = {
  program: 'cmd_archiver',
  host: 'alpha',
  atMs: 0,
  found: [
    { name: 'node', tookS: 0, ...good('recent') },
    { name: 'ssh', tookS: 0.1, ...of('beta', failure('no\u001B[31m key', 'Add it.')) },
  ],
};

describe('the report', () => {
  test('is a table with the way out and a sum, and foreign text is escaped in it', () => {
    expect(checkView(report, { columns: undefined, hasColour: false })).toBe(
      [
        'ok      node      recent',
        'FAILED  ssh beta  no\\x1b[31m key',
        '                  → Add it.',
        'alpha (cmd_archiver --check): 1 failed, 1 ok',
      ].join('\n'),
    );
    const coloured = checkView(report, { columns: 40, hasColour: true });
    expect(coloured).toContain('\u001B[31mFAILED\u001B[0m  ssh');
  });

  test('is one line of JSON', () => {
    expect(JSON.parse(checkJson(report))).toMatchObject({
      version: 1,
      at: '1970-01-01T00:00:00.000Z',
      result: 'failed',
      checks: [
        { name: 'node', result: 'ok' },
        { name: 'ssh', about: 'beta', result: 'failed', hint: 'Add it.' },
      ],
    });
  });
});
