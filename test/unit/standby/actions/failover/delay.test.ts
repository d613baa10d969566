import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, test } from 'vitest';
import { PitrError } from '../../../../../src/errors.ts';
import { settingsIn, withSettings } from '../../../../../src/postgres/settings-file.ts';
import { observeDelay, type SettingDelay } from '../../../../../src/standby/actions/failover/delay.ts';
import { type FailoverRun, newRun } from '../../../../../src/standby/actions/failover/run.ts';
import { type FailoverStep, failoverSteps } from '../../../../../src/standby/actions/failover/steps.ts';
import type { StandbyDeps } from '../../../../../src/standby/deps.ts';
import { changeRecord, readRecord } from '../../../../../src/standby/host/backup-record/record.ts';
import { writeRecoverySettings } from '../../../../../src/standby/recovery/files.ts';
import { warnOfDroppedDelay } from '../../../../../src/standby/recovery/own-delay.ts';
import { recoveryPlace } from '../../../../../src/standby/recovery/place.ts';
import { recoverySettings } from '../../../../../src/standby/recovery/settings.ts';
import { serverOf } from '../../../../../src/standby/server/server.ts';
import { readConfiguration } from '../../../../../src/standby/server/server-configuration.ts';
import type { ServerState } from '../../../../../src/standby/server/server-state.ts';
import { bindSteps } from '../../../../../src/standby/steps/step-table.ts';
import type { LocalSql } from '../../../../../src/system/local-sql.ts';
import { temporaryDirectory } from '../../../system/temporary.ts';
import { dataDirectory, localFacts, place } from '../../standby-facts.ts';

const name = 'recovery_min_apply_delay';
const { capabilities } = dataDirectory('15');
const running: ServerState = { kind: 'recovering', answers: true, progress: '' };
const stopped: ServerState = { kind: 'stopped' };

let pgdata = '';
let isKilled = false;
let mayAlter = true;
const pathOf = (file: string) => join(pgdata, file);
const valueIn = (file: string) => settingsIn(readFileSync(pathOf(file), 'utf8')).get(name);
const autoConf = 'postgresql.auto.conf';
const write = (file: string, delay: string | undefined) => {
  writeFileSync(pathOf(file), delay === undefined ? '' : `${name} = '${delay}'\n`);
};

/** A server that has its files in force, as after each `pg_reload_conf()`. */
const sql: LocalSql = (text) => {
  if (isKilled) throw new Error('killed');
  const set = /^ALTER SYSTEM SET \S+ = '(.*)'$/.exec(text)?.[1];
  if (text.startsWith('ALTER SYSTEM')) {
    if (!mayAlter) throw new PitrError('permission denied to set parameter "recovery_min_apply_delay"');
    const change = set === undefined ? new Map<string, string>() : new Map([[name, set]]);
    const before = readFileSync(pathOf(autoConf), 'utf8');
    writeFileSync(pathOf(autoConf), withSettings(before, { set: change, remove: new Set([name]) }));
  }
  if (!text.includes('FROM pg_settings')) return Promise.resolve([]);
  const sourcefile = pathOf(valueIn(autoConf) === undefined ? 'postgresql.conf' : autoConf);
  const value = valueIn(autoConf) ?? valueIn('postgresql.conf') ?? '0';
  return Promise.resolve(value === '0' ? [] : [{ value, sourcefile }]);
};

function deps(): StandbyDeps {
  const settings = {
    pgdata,
    archivedir: pgdata,
    no_copy_conf: false,
    recovery_conf: pathOf('recovery.conf'),
  };
  const log = { notice: () => undefined, warning: () => undefined, debug: () => undefined };
  const withLocalSql = async (_: unknown, __: number, use: (sql: LocalSql) => Promise<unknown>) => ({
    kind: 'answered',
    value: await use(sql),
  });
  const { signal } = new AbortController();
  return { settings, log, signal, withLocalSql } as unknown as StandbyDeps;
}

const server = () => serverOf(deps(), capabilities);

/** As each run sees it. */
async function observed(state: ServerState = running) {
  const configuration = await readConfiguration(server(), 'standby');
  return observeDelay(server(), state, await readRecord(pgdata), configuration);
}

function stepOf(
  kind: 'drop-delay' | 'clear-settings',
  delay?: SettingDelay,
  opening: FailoverRun['opening'] = 'not begun',
) {
  const directory = dataDirectory('15', { pgdata });
  const run = { ...newRun(deps(), localFacts('15', { directory })), opening };
  const planned = { kind, delay } as unknown as FailoverStep;
  const [bound] = bindSteps<FailoverStep, FailoverRun>([planned], failoverSteps, run);
  if (bound === undefined) throw new Error('no step');
  return bound;
}

async function drop(): Promise<void> {
  const delay = await observed();
  if (delay?.kind !== 'setting') throw new Error('no delay');
  await stepOf('drop-delay', delay).run();
}

async function start(): Promise<void> {
  const configuration = await readConfiguration(server(), 'standby');
  const here = await recoveryPlace(server(), configuration);
  const settings = recoverySettings(capabilities, { kind: 'standby', streaming: undefined }, here);
  await writeRecoverySettings(server(), 'standby', settings);
}

async function pauseAtTarget(): Promise<void> {
  const configuration = await readConfiguration(server(), 'standby');
  const here = await recoveryPlace(server(), configuration);
  const target = {
    kind: 'to-target',
    target: { goal: { kind: 'time', micros: 0n }, exclusive: true, timeline: 'latest', action: 'pause' },
  } as const;
  await writeRecoverySettings(server(), 'recovery', recoverySettings(capabilities, target, here));
}

beforeEach(() => {
  pgdata = temporaryDirectory();
  isKilled = false;
  mayAlter = true;
  for (const file of [autoConf, 'postgresql.conf']) write(file, undefined);
});

describe.each([
  ['by ALTER SYSTEM', autoConf],
  ['in postgresql.conf', 'postgresql.conf'],
])("the user's own delay %s, which a failover that was killed has dropped", (_, file) => {
  const own = file === autoConf ? '4h' : undefined;

  beforeEach(async () => {
    await start();
    writeFileSync(pathOf(file), `${readFileSync(pathOf(file), 'utf8')}${name} = '4h'\n`);
    await drop();
    expect(valueIn(autoConf)).toBe('0');
    expect((await readRecord(pgdata)).droppedDelay).toEqual(own === undefined ? {} : { own });
  });

  /** The standby has its delay, and nothing remembers that it was dropped. */
  async function expectBack(): Promise<void> {
    expect(valueIn(autoConf)).toBe(own);
    expect((await readRecord(pgdata)).droppedDelay).toBeUndefined();
    expect(await observed()).toEqual({ kind: 'setting', value: '4h', own, isOurs: false });
  }

  test('is brought back by the next -S', async () => {
    await start();
    await expectBack();
    await start();
    await expectBack();
  });

  test('is known to the next -F999, and brought back if that fails or promotes', async () => {
    for (const state of [running, stopped])
      expect(await observed(state)).toEqual({ kind: 'setting', value: '4h', own, isOurs: false });
    const step = stepOf('drop-delay', (await observed()) as SettingDelay);
    await step.run();
    expect((await readRecord(pgdata)).droppedDelay).toEqual(own === undefined ? {} : { own });
    await step.undo();
    await expectBack();
    await drop();
    await stepOf('clear-settings').run();
    await expectBack();
  });

  test('is left out by a recovery to a target, and brought back after it', async () => {
    await pauseAtTarget();
    expect(valueIn(autoConf)).toBe('0');
    await pauseAtTarget();
    await start();
    await expectBack();
    await drop();
    await pauseAtTarget();
    await stepOf('clear-settings').run();
    await expectBack();
  });

  test('is brought back after a hold', async () => {
    await writeRecoverySettings(server(), 'held', recoverySettings(capabilities, { kind: 'hold' }, place));
    await start();
    await expectBack();
  });

  test('gives way to one that the user has set since', async () => {
    write(autoConf, '6h');
    expect(await observed()).toEqual({ kind: 'setting', value: '6h', own: '6h', isOurs: false });
    await start();
    expect(valueIn(autoConf)).toBe('6h');
    expect((await readRecord(pgdata)).droppedDelay).toBeUndefined();
  });

  test('is brought back after a kill between its steps, too', async () => {
    const record = await readRecord(pgdata);
    await start();
    // The file was written, and the record not yet.
    await changeRecord(pgdata, { droppedDelay: record.droppedDelay });
    await start();
    await expectBack();
  });
});

test('the record has the delay before the server drops it', async () => {
  write(autoConf, '4h');
  const delay = (await observed()) as SettingDelay;
  isKilled = true;
  await expect(stepOf('drop-delay', delay).run()).rejects.toThrow('killed');
  isKilled = false;
  expect((await readRecord(pgdata)).droppedDelay).toEqual({ own: '4h' });
  expect(valueIn(autoConf)).toBe('4h');
  await start();
  expect(valueIn(autoConf)).toBe('4h');
  expect(await readRecord(pgdata)).not.toHaveProperty('droppedDelay');
});

test.each([
  ['by ALTER SYSTEM', autoConf, '4h'],
  ['in postgresql.conf', 'postgresql.conf', undefined],
])(
  'a delay %s is dropped by a role that may not use ALTER SYSTEM, and brought back',
  async (_, file, own) => {
    mayAlter = false;
    write(file, '4h');
    const step = stepOf('drop-delay', (await observed()) as SettingDelay);
    await step.run();
    expect(valueIn(autoConf)).toBe('0');
    expect((await readRecord(pgdata)).droppedDelay).toEqual(own === undefined ? {} : { own });
    await step.undo();
    expect(valueIn(autoConf)).toBe(own);
    expect(await readRecord(pgdata)).not.toHaveProperty('droppedDelay');
  },
);

test("the INI file's delay hides the user's own, which a standby has that is started without ours", async () => {
  write('postgresql.conf', '4h');
  const delayed = { kind: 'standby', streaming: undefined, delay: '1h' } as const;
  await writeRecoverySettings(server(), 'standby', recoverySettings(capabilities, delayed, place));
  const hidden = { kind: 'setting', value: '4h', own: undefined, isOurs: false };
  expect(await observed()).toEqual({ kind: 'setting', value: '1h', own: '1h', isOurs: true, hidden });
  await start();
  expect(await observed()).toEqual(hidden);
});

test("the INI file's delay needs no such note", async () => {
  const settings = recoverySettings(
    capabilities,
    { kind: 'standby', streaming: undefined, delay: '1h' },
    place,
  );
  await writeRecoverySettings(server(), 'standby', settings);
  expect(await observed()).toEqual({ kind: 'setting', value: '1h', own: '1h', isOurs: true });
  expect(await observed(stopped)).toBeUndefined();
  await drop();
  expect((await readRecord(pgdata)).droppedDelay).toBeUndefined();
  await stepOf('clear-settings').run();
  expect(valueIn(autoConf)).toBeUndefined();
  // A later step has failed.
  await stepOf('drop-delay', { kind: 'setting', value: '1h', own: '1h', isOurs: true }, 'done').undo();
  expect(valueIn(autoConf)).toBeUndefined();
});

test("a delay that the user has changed since a recovery to a target stays the user's", async () => {
  write(autoConf, '2h');
  await pauseAtTarget();
  await start();
  write(autoConf, '6h');
  expect(await observed()).toEqual({ kind: 'setting', value: '6h', own: '6h', isOurs: false });
  await drop();
  await stepOf('clear-settings').run();
  expect(valueIn(autoConf)).toBe('6h');
});

test('a delay on the command line of a drill counts, and none is dropped there', async () => {
  write(autoConf, '2h');
  const configuration = await readConfiguration(server(), 'standby');
  const parameters = new Map([[name, '0']]);
  expect(await observeDelay(server(), stopped, {}, { ...configuration, parameters })).toBeUndefined();
});

test('a delay that was dropped and not brought back is reported', () => {
  const said: string[] = [];
  const log = { warning: (line: string) => said.push(line) } as unknown as StandbyDeps['log'];
  warnOfDroppedDelay({ log }, {});
  warnOfDroppedDelay({ log }, { droppedDelay: {} });
  expect(said).toEqual([
    expect.stringContaining('has set recovery_min_apply_delay of the standby here to 0'),
  ]);
});
