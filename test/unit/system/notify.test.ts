import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Ajv } from 'ajv';
import { expect, test } from 'vitest';
import { startHook } from '../../../src/system/hook.ts';
import { textLog } from '../../../src/system/log.ts';
import { isNotificationDue, latestSaid, notify, partWithHooks } from '../../../src/system/notify.ts';
import { isProcessAlive } from '../../../src/system/processes.ts';
import { checkout } from '../../harness/checkout.ts';
import { eventually } from '../../harness/eventually.ts';
import { temporaryDirectory } from './temporary.ts';

const facts = { program: 'cmd_archiver' } as const;

function world(commands: { ok?: string; warning?: string; critical?: string }) {
  const said: string[] = [];
  const log = textLog({ debug: false }, (line) => said.push(line));
  const settings = {
    notify_ok: commands.ok,
    notify_warning: commands.warning,
    notify_critical: commands.critical,
    notify_reminder: 3600,
  };
  const deps = { log, hostName: 'alpha', now: () => Date.UTC(2026, 10, 29) };
  return { deps, settings, said };
}

test('the message of a notification is an argument, whatever it contains (bug of the original: the alert text run through a shell)', async () => {
  const marker = join(temporaryDirectory(), 'marker');
  const { deps, settings, said } = world({ warning: 'printf "%s\\n"' });
  const message = `down; touch ${marker} $(touch ${marker}) \`touch ${marker}\` "'`;
  notify(deps, settings, { severity: 'warning', message, name: 'n', facts });
  await partWithHooks(30_000);
  expect(said).toEqual([`NOTICE: ${message}\n`]);
  expect(existsSync(marker)).toBe(false);
});

test('the details of a notification are in the environment', async () => {
  const { deps, settings, said } = world({
    critical: 'echo $PITRTOOLS_SEVERITY $PITRTOOLS_STANDBY $PITRTOOLS_QUEUE_LENGTH; :',
  });
  notify(deps, settings, {
    severity: 'critical',
    name: 'standby',
    message: 'm',
    facts: { ...facts, standby: 's1', queue_length: 7 },
  });
  await partWithHooks(30_000);
  expect(said).toEqual(['NOTICE: critical s1 7\n']);
});

test('a notify command that fails is reported and has no other effect', async () => {
  const { deps, settings, said } = world({ ok: 'echo no >&2; exit 3;' });
  notify(deps, settings, { severity: 'ok', message: 'm', name: 'n', facts });
  await partWithHooks(30_000);
  expect(said).toEqual(['WARNING: notify_ok failed: exit status 3: no\n']);
});

test('a notify command that hangs delays no program, and continues after the program has ended', async () => {
  const file = join(temporaryDirectory(), 'pid');
  const { deps, settings, said } = world({ critical: `echo $$ > ${file}; exec sleep 600 #` });
  notify(deps, settings, { severity: 'critical', message: 'm', name: 'n', facts });
  await eventually(() => existsSync(file) && readFileSync(file, 'utf8').endsWith('\n'));
  await partWithHooks(1);
  const pid = Number(readFileSync(file, 'utf8'));
  expect(() => process.kill(pid, 0)).not.toThrow();
  process.kill(pid);
  expect(said).toEqual(['WARNING: notify_critical is still running; it is ended after 10 s\n']);
});

test('a notify command that exceeds its limit is ended with all its processes', async () => {
  const file = join(temporaryDirectory(), 'pid');
  const hook = startHook({ command: `sleep 600 & echo $! > ${file}; wait #`, args: [], env: {}, limitS: 1 });
  expect(await hook.ended).toEqual({ kind: 'timed-out', limitS: 1 });
  const pid = Number(readFileSync(file, 'utf8'));
  await eventually(() => !isProcessAlive(pid));
});

test('the later notification counts', () => {
  const early = { severity: 'critical', lastNotified: 10 } as const;
  const late = { severity: 'ok', lastNotified: 20 } as const;
  expect(latestSaid(early, late)).toBe(late);
  expect(latestSaid(late, early)).toBe(late);
  expect(latestSaid(undefined, early)).toBe(early);
});

test('nothing is run without a notify command', async () => {
  const { deps, settings, said } = world({});
  notify(deps, settings, { severity: 'ok', message: 'm', name: 'n', facts });
  await partWithHooks(30_000);
  expect(said).toEqual([]);
});

test.each([
  ['nothing said yet, all well', undefined, 'ok', false],
  ['nothing said yet, bad', undefined, 'warning', true],
  ['a change for the worse', { severity: 'warning', lastNotified: 1000 }, 'critical', true],
  ['a recovery', { severity: 'critical', lastNotified: 1000 }, 'ok', true],
  ['the same bad state, too early', { severity: 'critical', lastNotified: 1000 }, 'critical', false],
  ['the same bad state, time for a reminder', { severity: 'critical', lastNotified: 0 }, 'critical', true],
  ['still well, long after', { severity: 'ok', lastNotified: 0 }, 'ok', false],
] as const)('the decision to notify is right after %s', (_name, said, severity, due) => {
  expect(isNotificationDue(said, severity, 1060, 600)).toBe(due);
});

test('a bad state is reported once without a reminder', () => {
  const said = { severity: 'critical', lastNotified: 0 } as const;
  expect(isNotificationDue(said, 'critical', 1_000_000, 0)).toBe(false);
  expect(isNotificationDue(said, 'ok', 1_000_000, 0)).toBe(true);
});

test('a bad state is reported again if the clock was set back, rather than not for hours', () => {
  const said = { severity: 'critical', lastNotified: 5000 } as const;
  expect(isNotificationDue(said, 'critical', 1000, 600)).toBe(true);
  expect(isNotificationDue(said, 'critical', 1000, 0)).toBe(false);
  expect(isNotificationDue({ ...said, severity: 'ok' }, 'ok', 1000, 600)).toBe(false);
});

test('a message or a detail with a NUL or control characters reaches the command escaped', async () => {
  const { deps, settings, said } = world({ critical: 'printf "%s|%s" "$PITRTOOLS_SEGMENT" "$1"; true' });
  const hostile = { ...facts, segment: 'a\0b' };
  notify(deps, settings, {
    severity: 'critical',
    name: 'n',
    message: 'x\0y\x1b[2J\nz',
    facts: hostile,
  });
  await partWithHooks(30_000);
  expect(said).toEqual(['NOTICE: a\\x00b|x\\x00y\\x1b[2J\\nz\n']);
});

const schema = (name: string) => JSON.parse(readFileSync(checkout('doc', name), 'utf8')) as object;
const fitsSchema = new Ajv({ allowUnionTypes: true })
  .addSchema(schema('status.schema.json'), 'status.schema.json')
  .compile(schema('notification.schema.json'));

test.each([
  ['critical', [{ name: 'gap', about: 's1', level: 'critical', message: 'it "lacks"\\nWAL' }]],
  ['ok', []],
] as const)('a notification of severity %s is JSON on standard input', async (severity, findings) => {
  const { deps, settings, said } = world({ [severity]: 'cat; :' });
  notify(deps, settings, {
    severity,
    name: 'gap',
    about: 's1',
    message: 'it "lacks"\nWAL',
    facts: { ...facts, standby: 's1', queue_length: 7 },
  });
  await partWithHooks(30_000);
  const json: unknown = JSON.parse((said[0] ?? '').replace(/^NOTICE: /, ''));
  expect(fitsSchema(json), JSON.stringify(fitsSchema.errors)).toBe(true);
  expect(json).toMatchObject({
    version: 1,
    program: 'cmd_archiver',
    host: 'alpha',
    at: '2026-11-29T00:00:00.000Z',
    level: severity,
    subject: { name: 'gap', about: 's1' },
    message: 'it "lacks"\\nWAL',
    findings,
    details: { standby: 's1', queue_length: 7 },
  });
});

test('a notify command may close its standard input at once', async () => {
  const { deps, settings, said } = world({ critical: 'exec 0<&-; sleep 0.1; echo read nothing; :' });
  notify(deps, settings, { severity: 'critical', name: 'n', message: 'm'.repeat(4000), facts });
  await partWithHooks(30_000);
  expect(said).toEqual(['NOTICE: read nothing\n']);
});

test.each([124, 137, 143])(
  'a notify command that exits with %i by itself was not ended by us',
  async (code) => {
    const { deps, settings, said } = world({ critical: `echo 'no route to the pager' >&2; exit ${code};` });
    notify(deps, settings, { severity: 'critical', message: 'm', name: 'n', facts });
    await partWithHooks(30_000);
    expect(said).toEqual([`WARNING: notify_critical failed: exit status ${code}: no route to the pager\n`]);
  },
);
