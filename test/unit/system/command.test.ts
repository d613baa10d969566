import { expect, test, vi } from 'vitest';
import { describeResult, runCommand, startSession, succeeded } from '../../../src/system/command.ts';
import { isProcessAlive } from '../../../src/system/processes.ts';

const sh = (script: string) => ({ program: '/bin/sh', args: ['-c', script] });
const minute = { limitMs: 60_000 };

test('the output and the exit status of a command are returned separately', async () => {
  const result = await runCommand(sh('echo out; echo err >&2; exit 3'), minute);
  expect(result).toEqual({ kind: 'exited', code: 3, stdout: 'out\n', stderr: 'err\n' });
  expect(succeeded(result)).toBe(false);
  expect(describeResult(result)).toBe('exit status 3: err');
});

test('a command gets its input and its environment, and runs in the root directory with language C', async () => {
  const result = await runCommand(sh('cat; echo " $NAME $PWD $LC_ALL"'), {
    ...minute,
    input: 'in',
    env: { NAME: 'x' },
  });
  expect(result.stdout).toBe('in x / C\n');
});

test('a program that does not exist is a value, not an exception', async () => {
  const result = await runCommand({ program: '/nonexistent/rsync', args: [] }, minute);
  expect(result.kind).toBe('not-started');
  expect(describeResult(result)).toContain('ENOENT');
});

test('a death by a signal is distinguished from an exit', async () => {
  expect(await runCommand(sh('kill -9 $$'), minute)).toMatchObject({ kind: 'killed', signal: 'SIGKILL' });
});

test('a command that exceeds its limit is ended with its whole process group, although it ignores SIGTERM', async () => {
  const script = 'trap "" TERM; sleep 300 & echo $!; while :; do sleep 1; done';
  // A busy machine must have started it by then: 0 would be the test's own process group.
  const result = await runCommand(sh(script), { limitMs: 2000 });
  expect(result.kind).toBe('timed-out');
  expect(Number(result.stdout)).toBeGreaterThan(1);
  // The signal was sent: a busy machine may take its time to deliver it.
  await vi.waitFor(() => {
    expect(isProcessAlive(Number(result.stdout))).toBe(false);
  }, 10_000);
});

test('a child that left the group and holds the pipe does not delay us', async () => {
  const result = await runCommand(sh('setsid sleep 15 & sleep 300'), { limitMs: 200 });
  expect(result.kind).toBe('timed-out');
});

test('an abort ends the command', async () => {
  const controller = new AbortController();
  const running = runCommand(sh('echo started; sleep 300'), {
    ...minute,
    signal: controller.signal,
    onLine: () => {
      controller.abort();
    },
  });
  expect((await running).kind).toBe('killed');
});

test('a command that is started after the abort is ended at once', async () => {
  expect((await runCommand(sh('sleep 300'), { ...minute, signal: AbortSignal.abort() })).kind).toBe('killed');
});

test('lines are returned complete, however the output is divided', async () => {
  const lines: string[] = [];
  await runCommand(sh('printf a; sleep 0.1; printf "b\\nc\\n"'), {
    ...minute,
    onLine: (line) => lines.push(line),
  });
  expect(lines).toEqual(['ab', 'c']);
});

test('a session answers requests until its input is closed', async () => {
  const lines: string[] = [];
  const session = startSession({ program: 'cat', args: [] }, { onLine: (line) => lines.push(line) });
  session.write('one\n');
  session.write('two\n');
  session.close();
  expect(await session.ended).toMatchObject({ kind: 'exited', code: 0 });
  expect(lines).toEqual(['one', 'two']);
});

test('writing to a session that has ended does no harm', async () => {
  const session = startSession(sh('exit 4'), { onLine: () => undefined });
  expect(await session.ended).toMatchObject({ kind: 'exited', code: 4 });
  session.write('too late\n');
});

test('a program with too much output is ended, for whole output, lines and errors alike', async () => {
  const whole = await runCommand(sh('yes'), minute);
  expect(whole.kind).toBe('flooded');
  expect(whole.stdout.length).toBeLessThanOrEqual(4 * 1024 * 1024);
  expect(describeResult(whole)).toBe('it printed more than allowed, and was stopped');
  const lines: string[] = [];
  const oneLine = await runCommand(sh('echo first; tr "\\0" x </dev/zero'), {
    ...minute,
    onLine: (line) => lines.push(line),
  });
  expect(oneLine.kind).toBe('flooded');
  expect(lines).toEqual(['first']);
  const errors = await runCommand(sh('yes | head -c 20000000 >&2; echo last >&2'), minute);
  expect(errors).toMatchObject({ kind: 'exited', code: 0 });
  expect(errors.stderr.length).toBeLessThanOrEqual(1024 * 1024);
  expect(errors.stderr).toMatch(/last\n$/);
});

test('output up to its limit is a result, and a caller can set the limit', async () => {
  const script = sh('yes | head -c 1000');
  expect((await runCommand(script, { ...minute, maxOutputBytes: 1000 })).stdout).toHaveLength(1000);
  expect((await runCommand(script, { ...minute, maxOutputBytes: 999 })).kind).toBe('flooded');
});

test('a session whose lines never end is ended', async () => {
  const session = startSession(sh('tr "\\0" x </dev/zero'), { onLine: () => undefined });
  expect((await session.ended).kind).toBe('flooded');
});

test('a word with a NUL, which no program can receive, is a value, not an exception', async () => {
  const result = await runCommand({ program: 'echo', args: ['a\0b'] }, minute);
  expect(describeResult(result)).toBe('could not be started: one of its arguments contains a NUL: "a\\x00b"');
});
