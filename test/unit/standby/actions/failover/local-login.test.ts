import { describe, expect, test } from 'vitest';
import type { HbaAnswer } from '../../../../../src/postgres/hba.ts';
import { judgeHba, judgeRights } from '../../../../../src/standby/actions/failover/local-login.ts';

const base = { file: '/etc/pg_hba.conf', user: 'postgres', systemUser: 'postgres' };
const none = { password: undefined, lookedIn: ['PGPASSWORD is not set'] };
const found = { password: 'secret', lookedIn: ['/home/.pgpass'] };
const line = (method: string, hasMap = false): HbaAnswer => ({ kind: 'line', number: 3, method, hasMap });

describe('the text of pg_hba.conf', () => {
  test.each([
    [line('trust'), none, 'proved'],
    [line('peer'), none, 'proved'],
    [line('peer', true), none, 'unknown'],
    [line('reject'), found, 'refused'],
    [line('scram-sha-256'), none, 'refused'],
    [line('scram-sha-256'), found, 'unknown'],
    [line('gss'), found, 'unknown'],
    [{ kind: 'no-line' } as const, found, 'refused'],
    [{ kind: 'unknown', number: 1 } as const, found, 'unknown'],
  ])('decides the login after a promotion: %j', (answer, access, kind) => {
    expect(judgeHba({ ...base, answer, access }).kind).toBe(kind);
  });

  test('lets in only the user of the operating system by peer', () => {
    const judged = judgeHba({ ...base, systemUser: 'dba', answer: line('peer'), access: none });
    expect(judged).toMatchObject({ kind: 'refused' });
    expect(judged.kind === 'refused' && judged.reason).toContain('line 3 of "/etc/pg_hba.conf" (peer)');
  });
});

describe('the role for the steps after a promotion', () => {
  const rights = { isSuper: false, mayCreate: true, mayReload: false, mayResume: false };
  const nothing = { reload: false, resume: false };
  const reload = { reload: true, resume: false };

  test('must be a superuser, or be able to write and to reload', () => {
    expect(judgeRights('dba', { ...rights, isSuper: true, mayCreate: false }, reload).kind).toBe('proved');
    expect(judgeRights('dba', rights, nothing).kind).toBe('proved');
    expect(judgeRights('dba', { ...rights, mayReload: true }, reload).kind).toBe('proved');
    expect(judgeRights('dba', rights, reload).kind).toBe('refused');
    expect(judgeRights('dba', { ...rights, mayCreate: false }, nothing).kind).toBe('refused');
  });

  test('must be able to resume a replay that is paused, which -F999 does after the fence', () => {
    const resume = { reload: false, resume: true };
    expect(judgeRights('dba', rights, resume)).toMatchObject({
      kind: 'refused',
      reason: expect.stringContaining('not allowed to resume it') as string,
    });
    expect(judgeRights('dba', { ...rights, mayResume: true }, resume).kind).toBe('proved');
    expect(judgeRights('dba', { ...rights, isSuper: true }, resume).kind).toBe('proved');
  });
});
