import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { exitCodes, messageOf, PitrError, refusal } from '../../errors.ts';
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

function requireSource({ source }: ReplicaCall): HostAddress {
  if (source !== undefined) return source;
  throw refusal('the cluster has no leader now, and a base backup is made of a leader', {
    detail: 'Patroni gave no connection string (no_leader: true).',
    hint: 'Patroni calls again once there is a leader. Remove no_leader from the section of this method.',
  });
}

/** Undefined if no Patroni names one. */
async function leaderNow({ settings: { patroni_url: urls } }: StandbyDeps): Promise<HostAddress | undefined> {
  const leader = urls === undefined ? undefined : await findLeader(urls, leaderMs);
  return leader?.kind === 'leader' ? leader : undefined;
}

/**
 * The primary is asked to begin and to end the backup; the files may come from a replica that Patroni has chosen
 * (tag clonefrom).
 *
 * @param hasLed the source was the leader: another leader takes its place, because it may be dead
 */
function aimedAt(
  deps: StandbyDeps,
  source: HostAddress,
  leader: HostAddress | undefined,
  hasLed: boolean,
): StandbyDeps {
  const { settings } = deps;
  const { port = 5432 } = source;
  if (leader === undefined || isSame(leader, source) || settings.basebackup_method !== 'rsync')
    return { ...deps, settings: { ...settings, master_public_ip: source.host, port } };
  const primary = { ...settings, master_public_ip: leader.host, port: leader.port ?? 5432 };
  if (hasLed) return { ...deps, settings: primary };
  deps.log.notice(`the leader is ${addressText(leader)}; the files are copied from ${addressText(source)}`);
  const copied = { basebackup_source: source.host, basebackup_source_port: port };
  return { ...deps, settings: { ...primary, ...copied } };
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

/** Whether another server would be asked next. While none leads, one that was demoted still refuses. */
async function mayAimElsewhere(asked: StandbyDeps): Promise<boolean> {
  const { patroni_url: urls, basebackup_method: method, master_public_ip: host, port } = asked.settings;
  if (urls === undefined || method !== 'rsync') return false;
  const leader = await leaderNow(asked);
  return leader === undefined || !isSame(leader, { host, port });
}

/** A refusal stays one as long as the same server is asked: it would give the same answer. */
async function isFinal(asked: StandbyDeps, error: unknown): Promise<boolean> {
  if (asked.signal.aborted || !(error instanceof PitrError)) return true;
  if (error.exitCode === exitCodes.refused) return !(await mayAimElsewhere(asked));
  return error.exitCode !== exitCodes.failure;
}

/** Each attempt continues with what is here. The leader may be another one by then. */
async function copyPersistently(
  given: StandbyDeps,
  call: ReplicaCall,
  options: BackupOptions,
  { initStandby, baseBackup }: ReplicaActions,
): Promise<number> {
  const source = requireSource(call);
  let hasLed = false;
  for (let attempt = 1; ; attempt += 1) {
    const leader = await leaderNow(given);
    hasLed ||= leader !== undefined && isSame(leader, source);
    const deps = aimedAt(given, source, leader, hasLed);
    try {
      const isNew = await isNewArchive(deps);
      if (isNew) await initStandby(deps, options);
      return await baseBackup(deps, options);
    } catch (error) {
      if (attempt === attempts || (await isFinal(deps, error))) throw error;
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
