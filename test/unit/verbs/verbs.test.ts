import { describe, expect, test } from 'vitest';
import type { RemoteResult, RemoteShell } from '../../../src/system/ssh.ts';
import { callVerb, verbLine } from '../../../src/verbs/call.ts';
import { readVerbCall } from '../../../src/verbs/read-call.ts';
import { answerMark } from '../../../src/verbs/verbs.ts';

const command = { program: '/opt/it is/bin/cmd_standby', iniFile: "/etc/it's.ini" };

function shellThat(answers: RemoteResult, seen: string[] = []): RemoteShell {
  const unused = () => {
    throw new Error('not used');
  };
  return {
    target: {
      host: 'h',
      what: 'the standby h',
      user: 'u',
      ssh: { program: 'ssh', args: [] },
      connectTimeoutS: 1,
      debug: false,
    },
    run: (work) => {
      seen.push(typeof work === 'string' ? work : work.script);
      return Promise.resolve(answers);
    },
    start: unused,
    rsyncShell: '',
    stderr: () => '',
  };
}

function done(status: number, ...lines: string[]): RemoteResult {
  return { kind: 'done', status, lines };
}

describe('a verb', () => {
  test('is read as it was written', () => {
    expect(readVerbCall(verbLine('status', {}))).toEqual({ name: 'status', arguments: {} });
    const call = { name: 'wal-from', arguments: { lsn: 0xa_0000_0028n } } as const;
    expect(verbLine(call.name, call.arguments)).toBe('wal-from A/28');
    expect(readVerbCall('wal-from A/28')).toEqual(call);
  });

  test.each([
    ['', /unknown verb ""/],
    ['stop', /unknown verb "stop"/],
    ['constructor', /unknown verb/],
    ['status now', /status takes 0 arguments, not 1/],
    ['status ', /status takes 0 arguments, not 1/],
    ['status\nstatus', /unknown verb/],
    ['wal-from', /wal-from takes 1 arguments, not 0/],
    ['wal-from 0/x', /wal-from: "0\/x" is not a WAL location/],
    ['wal-from 0/1;', /is not a WAL location/],
    ['wal-from 0/1\n', /is not a WAL location/],
  ])('%j is refused at the other end', (line, message) => {
    expect(() => readVerbCall(line)).toThrow(message);
  });
});

describe('the answer to a verb', () => {
  test('is the line with the mark, whatever else the program prints', async () => {
    const seen: string[] = [];
    const shell = shellThat(done(0, 'WARNING: x', `${answerMark}{"server":"down"}`), seen);
    const result = await callVerb(shell, command, 'status', {}, 1_000);
    expect(result).toEqual({ kind: 'answered', answer: { server: 'down' } });
    expect(seen).toEqual([`'/opt/it is/bin/cmd_standby' '-C' '/etc/it'\\''s.ini' '--serve' 'status' 2>&1`]);
  });

  test.each<[string, RemoteResult, RegExp]>([
    ['a failure', done(1, 'ERROR: no\x1b[2J'), /the standby h answered "status" with: ERROR: no\\x1b\[2J/],
    ['silence', done(127), /exit status 127/],
    ['no answer', done(0, 'hello'), /hello/],
    ['another form', done(0, `${answerMark}{"server":"asleep"}`), /not understood: its "server"/],
    ['no JSON', done(0, `${answerMark}{`), /not understood/],
    ['a location in another form', done(0, `${answerMark}{"server":"down","replayed":"x"}`), /"replayed"/],
  ])('%s is a refusal with its reason', async (_, answers, reason) => {
    const result = await callVerb(shellThat(answers), command, 'status', {}, 1_000);
    expect(result).toMatchObject({ kind: 'refused', reason: expect.stringMatching(reason) as unknown });
  });

  test('is unknown after the connection broke', async () => {
    const result = await callVerb(shellThat({ kind: 'lost', reason: 'gone' }), command, 'status', {}, 1_000);
    expect(result).toEqual({ kind: 'lost', reason: 'gone' });
  });
});
