import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { refusal } from '../../errors.ts';
import { type BackupLabel, parseBackupLabel } from '../../postgres/backup-label.ts';
import { type Capabilities, capabilitiesOf } from '../../postgres/capabilities.ts';
import { checkControlFile, type ControlFile } from '../../postgres/control-file.ts';
import { parseVersion } from '../../postgres/version.ts';
import { exists, readIfExists } from '../../system/durable.ts';
import { readRecord, type StandbyRecord } from '../host/backup-record/record.ts';

/** The state of a data directory as its own files show it, whether or not a server runs on it. */
export interface DataDirectory {
  readonly pgdata: string;
  readonly capabilities: Capabilities;
  /** Undefined if pg_control is missing or cannot be understood; `controlProblem` then gives the reason. */
  readonly control: ControlFile | undefined;
  readonly controlProblem: string | undefined;
  readonly record: StandbyRecord;
  /** A base backup was begun and has not been completed: no server may start here. */
  readonly isIncomplete: boolean;
  /** It exists until a server has begun to recover from the base backup. */
  readonly backupLabel: BackupLabel | undefined;
  /** Whether a file makes a server that starts here recover. */
  readonly hasRecoverySettings: boolean;
}

export const incompleteControlFile = 'pg_control.pitrtools';
/** In pgdata: holds the cluster's files while pg_rewind changes them, so that no server can start meanwhile. */
export const rewindingName = 'pitrtools-rewinding';
const attempts = 5;

/** A running server writes the file in one piece, but we may read it in the middle of that write. */
async function readControl(pgdata: string): Promise<Pick<DataDirectory, 'control' | 'controlProblem'>> {
  const path = join(pgdata, 'global', 'pg_control');
  let problem = '';
  for (let attempt = 0; attempt < attempts; attempt++) {
    const bytes = await readIfExists(path);
    if (bytes === undefined) return { control: undefined, controlProblem: `there is no file ${path}` };
    const check = checkControlFile(bytes);
    if (check.kind === 'good') return { control: check.control, controlProblem: undefined };
    problem = check.reason;
  }
  return { control: undefined, controlProblem: problem };
}

/** Whether the cluster was last in recovery, and not in its first phase. */
export function wasInRecovery({ state }: ControlFile): boolean {
  return state === 'in-archive-recovery' || state === 'shut-down-in-recovery';
}

/** Whether the server was last out of recovery. A base backup on which none has started yet has the state of the primary. */
export async function hasLeftRecovery(pgdata: string): Promise<boolean> {
  if (await exists(join(pgdata, 'backup_label'))) return false;
  const { control } = await readControl(pgdata);
  return control !== undefined && !wasInRecovery(control);
}

async function readLabel(pgdata: string): Promise<BackupLabel | undefined> {
  const content = await readIfExists(join(pgdata, 'backup_label'));
  return content === undefined ? undefined : parseBackupLabel(content.toString('utf8'), 'backup_label');
}

/** The major version of the data directory. */
export async function readCapabilities(pgdata: string): Promise<Capabilities> {
  const text = await readFile(join(pgdata, 'PG_VERSION'), 'utf8').catch((error: unknown) => {
    throw refusal(`"${pgdata}" is no data directory: its PG_VERSION cannot be read`, {
      hint: 'Check pgdata:, and make the base backup first: cmd_standby -C … -B',
      cause: error,
    });
  });
  return capabilitiesOf(parseVersion(text));
}

async function hasRecoverySettings(pgdata: string): Promise<boolean> {
  for (const name of ['standby.signal', 'recovery.signal', 'recovery.conf'])
    if (await exists(join(pgdata, name))) return true;
  return false;
}

async function hasUnfinishedCopy(pgdata: string): Promise<boolean> {
  const record = await readRecord(pgdata);
  return record.backup?.status === 'copying' || exists(join(pgdata, 'global', incompleteControlFile));
}

/** An unfinished copy is reported first, because the rest may be half of one cluster and half of another. */
export async function refuseIncompleteCopy(pgdata: string): Promise<void> {
  if (await exists(join(pgdata, rewindingName))) {
    throw refusal(`pg_rewind was interrupted in "${pgdata}"`, {
      hint: 'Run --rejoin again: cmd_standby -C … --rejoin HOST',
    });
  }
  if (!(await hasUnfinishedCopy(pgdata))) return;
  throw refusal(`the base backup in "${pgdata}" is incomplete`, {
    detail: 'A server that starts on it would be damaged.',
    hint: 'Run -B again: cmd_standby -C … -B',
  });
}

export async function readDataDirectory(pgdata: string): Promise<DataDirectory> {
  return {
    pgdata,
    capabilities: await readCapabilities(pgdata),
    ...(await readControl(pgdata)),
    record: await readRecord(pgdata),
    isIncomplete: await hasUnfinishedCopy(pgdata),
    backupLabel: await readLabel(pgdata),
    hasRecoverySettings: await hasRecoverySettings(pgdata),
  };
}

/** The present state of the cluster according to pg_control. */
export async function readControlFile(pgdata: string): Promise<ControlFile | undefined> {
  return (await readControl(pgdata)).control;
}
