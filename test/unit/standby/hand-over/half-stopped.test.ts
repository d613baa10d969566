import { expect, test } from 'vitest';
import { traceOfStop } from '../../../../src/standby/hand-over/half-stopped.ts';
import { dataDirectory } from '../standby-facts.ts';

const deps = { iniFile: '/etc/cmd_standby.ini' };
const record = { stoppedFor: { host: 'b', timeline: 1, token: 'aaaaaaaa' } };
const serving = { kind: 'production', answers: true } as const;

test('a primary whose stop was interrupted says so, with both ways out', () => {
  const directory = dataDirectory('15', { record, hasRecoverySettings: true });
  const trace = traceOfStop(deps, directory, serving);
  expect(trace?.message).toBe(
    'the server in "/d" was to be stopped for a switchover to b, and its next start would be that of a standby',
  );
  expect(trace?.hint).toMatch(
    /^Run --switchover on b: .* -C \/etc\/cmd_standby\.ini --serve 'resume-primary 1 \d+ aaaaaaaa'$/,
  );
});

test('a stopped one says for whom it waits; without a note nothing is said', () => {
  const { message } = traceOfStop(deps, dataDirectory('15', { record }), { kind: 'stopped' }) ?? {};
  expect(message).toBe('the server in "/d" was stopped for a switchover to b');
  expect(traceOfStop(deps, dataDirectory('15'), serving)).toBeUndefined();
});
