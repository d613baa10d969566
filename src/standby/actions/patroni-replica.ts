import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { messageOf, PitrError, refusal } from '../../errors.ts';
import { addressText, type HostAddress } from '../../host-address.ts';
import { exists, readIfExists } from '../../system/durable.ts';
import { logFailure } from '../../system/log.ts';
import { findLeader } from '../../system/patroni.ts';
import { isSameDirectory } from '../../system/processes.ts';
import { sentinelLockName, sentinelName } from '../../system/sentinel.ts';
import type { ActionOptions, BackupOptions, StandbyDeps } from '../deps.ts';
import { hasRecord } from '../host/backup-record/record.ts';
import type { ReplicaCall } from '../patroni/replica-call.ts';
import { readDataDirectory, refuseIncompleteCopy } from '../server/data-directory.ts';
import type { Answered } from '../steps/force.ts';

/** The actions that it takes the steps of. */
export interface ReplicaActions {
  readonly initStandby: (deps: StandbyDeps, options: ActionOptions) => Promise<number>;
  readonly baseBackup: (deps: StandbyDeps, options: BackupOptions) => Promise<number>;
}

/**
 * Patroni has decided that the server here is replaced: without keep_data it would have removed the directory. That it was
 * killed, or was a leader once, is no objection then.
 */
const force: Answered = {
  kind: 'answered',
  by: '--patroni-replica',
  names: ['crashed', 'unfinished-failover'],
};

/** A connection that breaks, or a leader that changes, must not cost what was copied: Patroni removes it if we fail. */
const attempts = 4;
const pauseMs = 5_000;
const leaderMs = 2_000;

async function requireOwnDatadir({ settings }: StandbyDeps, { datadir }: ReplicaCall): Promise<void> {
  const { pgdata } = settings;
  if (datadir === pgdata || (await isSameDirectory(datadir, pgdata))) return;
  throw refusal(`Patroni's data directory is "${datadir}", but pgdata: is "${pgdata}"`, {
    hint: 'Correct pgdata: in the INI file of cmd_standby, or data_dir in patroni.yml.',
  });
}

function isSame(a: HostAddress, b: HostAddress): boolean {
  return a.host === b.host && (a.port ?? 5432) === (b.port ?? 5432);
}

/**
 * The primary is asked to begin and to end the backup; the files may come from a replica that Patroni has chosen
 * (tag clonefrom).
 */
async function aimedAt(deps: StandbyDeps, { source }: ReplicaCall): Promise<StandbyDeps> {
  const { settings } = deps;
  if (source === undefined)
    throw refusal('the cluster has no leader now, and a base backup is made of a leader', {
      detail: 'Patroni gave no connection string (no_leader: true).',
      hint: 'Patroni calls again once there is a leader. Remove no_leader from the section of this method.',
    });
  const { patroni_url: urls } = settings;
  const { port = 5432 } = source;
  const leader = urls === undefined ? undefined : await findLeader(urls, leaderMs);
  if (leader?.kind !== 'leader' || isSame(leader, source) || settings.basebackup_method !== 'rsync')
    return { ...deps, settings: { ...settings, master_public_ip: source.host, port } };
  deps.log.notice(`the leader is ${addressText(leader)}; the files are copied from ${addressText(source)}`);
  const copied = { basebackup_source: source.host, basebackup_source_port: port };
  return {
    ...deps,
    settings: { ...settings, master_public_ip: leader.host, port: leader.port, ...copied },
  };
}

/** Only an archive that was never used is marked without the operator: one that lost its sentinel may be unmounted. */
async function isNewArchive({ settings }: StandbyDeps): Promise<boolean> {
  const { archivedir, pgdata } = settings;
  if ((await readIfExists(join(archivedir, sentinelName))) !== undefined) return false;
  if (await hasRecord(pgdata)) return false;
  return !(await exists(archivedir)) || (await readdir(archivedir)).every(isNoContent);
}

/** The lock of this very action is in an empty archivedir, too, and what an interrupted one has left. */
function isNoContent(name: string): boolean {
  return name === 'lost+found' || name === sentinelLockName || name.startsWith('.cmd_standby.');
}

/** Nothing of ours may make the server a standby: Patroni writes that itself. */
async function seeWhole({ settings: { pgdata } }: StandbyDeps): Promise<void> {
  await refuseIncompleteCopy(pgdata);
  const { backupLabel } = await readDataDirectory(pgdata);
  if (backupLabel === undefined) throw new PitrError(`"${pgdata}" has no backup_label after the base backup`);
  for (const name of ['standby.signal', 'recovery.signal', 'recovery.conf'])
    if (await exists(join(pgdata, name)))
      throw new PitrError(
        `"${join(pgdata, name)}" is there after the base backup, although Patroni writes its own`,
      );
}

/** A refusal stays one: the same question would get the same answer. */
function isFinal({ signal }: StandbyDeps, error: unknown): boolean {
  return signal.aborted || !(error instanceof PitrError) || error.exitCode !== 1;
}

/** Each attempt continues with what is here. The leader may be another one by then. */
async function copyPersistently(
  given: StandbyDeps,
  call: ReplicaCall,
  options: BackupOptions,
  { initStandby, baseBackup }: ReplicaActions,
): Promise<number> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      const deps = await aimedAt(given, call);
      const isNew = await isNewArchive(deps);
      if (isNew) await initStandby(deps, options);
      return await baseBackup(deps, options);
    } catch (error) {
      if (isFinal(given, error) || attempt === attempts) throw error;
      logFailure(given.log, error);
      given.log.notice(
        `attempt ${attempt} of ${attempts} has failed (${messageOf(error)}); the next one continues with what is here`,
      );
      await given.pause(pauseMs);
      given.signal.throwIfAborted();
    }
  }
}

/**
 * `--patroni-replica`: an entry of Patroni's create_replica_methods. Leaves a whole, stopped data directory with
 * backup_label, or fails.
 */
export async function patroniReplica(
  deps: StandbyDeps,
  call: ReplicaCall,
  { dryRun }: ActionOptions,
  actions: ReplicaActions,
): Promise<number> {
  await requireOwnDatadir(deps, call);
  const options = { dryRun, force, verify: call.verify, json: false };
  const status = await copyPersistently(deps, call, options, actions);
  if (!dryRun) await seeWhole(deps);
  return status;
}
