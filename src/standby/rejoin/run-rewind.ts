import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { messageOf, PitrError } from '../../errors.ts';
import { settingLine } from '../../postgres/quoting.ts';
import { parseWalName } from '../../postgres/wal-name.ts';
import { describeResult, succeeded } from '../../system/command.ts';
import { fsyncPath, writeDurably } from '../../system/durable.ts';
import { removeFile } from '../../system/files.ts';
import { quoted } from '../../system/printable.ts';
import type { StandbyDeps } from '../deps.ts';
import { layoutOf } from '../follow/end-of-wal.ts';
import type { Address } from '../follow/ini-file.ts';
import type { Lineage } from '../follow/lineage.ts';
import { withAccess } from '../primary/protocol/pass-file.ts';
import type { RecoverySettings } from '../recovery/settings.ts';
import type { DataDirectory } from '../server/data-directory.ts';
import { accessOf, type RewindAbility, sourceConninfo } from './rewind-ability.ts';
import { moveIn, notePhase, removeCopiedSlots, rewindDirectory } from './rewind-directory.ts';
import { isBehindFork } from './unsent.ts';

type Able = Extract<RewindAbility, { kind: 'able' }>;

/** pg_rewind has changed files and has not succeeded, or perhaps so: only a base backup can repair them. */
export class RewindFailed extends PitrError {}

const keptMegabytes = 1_000_000;
/** No cluster is expected to have more of them; each costs its recovery little memory. */
const mostHere = 1_000;

/** The server's own configuration names other directories: pg_rewind gets one with nothing but the restore_command. */
async function writeConfiguration(work: string, restoreCommand: string | undefined): Promise<void> {
  const lines =
    restoreCommand === undefined
      ? []
      : [
          settingLine('restore_command', restoreCommand, 'parameter'),
          // Recovery by pg_rewind ends with a checkpoint, which would remove WAL that pg_rewind then reads.
          `wal_keep_size = ${keptMegabytes}`,
          // It does not start beside slots or prepared transactions for which there is no room.
          'wal_level = logical',
          `max_replication_slots = ${mostHere}`,
          `max_prepared_transactions = ${mostHere}`,
          // All files are flushed at the end. Until then only a base backup follows an interruption.
          'fsync = off',
        ];
  await writeDurably(join(work, 'postgresql.conf'), lines.map((line) => `${line}\n`).join(''));
  await removeFile(join(work, 'postgresql.auto.conf'));
}

/**
 * pg_rewind leaves the segments from the last common checkpoint up to the fork. Where the new timeline's segment of the fork's
 * number is not to be had, recovery would take the old timeline's, and replay what is only here. It was offered before.
 */
export async function removeBehindFork(
  directory: DataDirectory,
  walDirectory: string,
  there: Lineage,
): Promise<void> {
  const { segmentSize } = layoutOf(directory);
  for (const text of await readdir(walDirectory)) {
    const name = parseWalName(text);
    if (name.kind === 'segment' && isBehindFork(name, there, segmentSize))
      await removeFile(join(walDirectory, text));
  }
  await fsyncPath(walDirectory);
}

/** pg_rewind would flush each file of the cluster by itself, changed or not. */
async function flushFiles(deps: StandbyDeps, work: string, walDirName: string): Promise<void> {
  const tablespaces = join(work, 'pg_tblspc');
  const links = (await readdir(tablespaces)).map((name) => join(tablespaces, name));
  const command = { program: 'sync', args: ['-f', '--', work, join(work, walDirName), ...links] };
  const result = await deps.run(command, {
    limitMs: deps.settings.base_backup_timeout * 1000,
    signal: deps.signal,
  });
  if (!succeeded(result))
    throw new PitrError(`cannot flush the files to the disk: ${describeResult(result)}`);
}

/**
 * Makes the files here those of the other server's history. On return they lie in the directory of the rewind, and no
 * server can start.
 */
export async function runRewind(
  deps: StandbyDeps,
  directory: DataDirectory,
  settings: RecoverySettings,
  { program, role }: Able,
  address: Address,
  there: Lineage,
): Promise<void> {
  const { pgdata, capabilities } = directory;
  const restoreCommand =
    settings.parameters.get('restore_command') ?? settings.recoveryConf.get('restore_command');
  const work = rewindDirectory(pgdata);
  await moveIn(pgdata);
  try {
    await writeConfiguration(work, capabilities.pgRewindRecovers ? restoreCommand : undefined);
    await notePhase(pgdata, 'rewinding');
    const source = `--source-server=${sourceConninfo(deps, address, role)}`;
    const { pgRewindRecovers, pgRewindCanSkipFlush } = capabilities;
    const flags = [...(pgRewindRecovers ? ['-c'] : []), ...(pgRewindCanSkipFlush ? ['-N'] : [])];
    const args = ['-D', work, source, ...flags];
    const result = await withAccess(accessOf(deps, role), role, (env) =>
      deps.run(
        { program, args },
        {
          limitMs: deps.settings.base_backup_timeout * 1000,
          env,
          signal: deps.signal,
          heldFds: deps.lockFd === undefined ? [] : [deps.lockFd],
        },
      ),
    );
    deps.log.debug(`pg_rewind: ${result.stdout.trim()}`);
    if (!succeeded(result)) throw new PitrError(`${describeResult(result)}; ${result.stdout.trim()}`);
    await removeBehindFork(directory, join(work, capabilities.walDirName), there);
    const slots = await removeCopiedSlots(pgdata, capabilities);
    if (slots.length > 0)
      deps.log.notice(
        `removed replication slots that pg_rewind has copied: ${slots.map((name) => quoted(name)).join(', ')}`,
      );
    if (pgRewindCanSkipFlush) await flushFiles(deps, work, capabilities.walDirName);
    await notePhase(pgdata, 'rewound');
  } catch (error) {
    deps.signal.throwIfAborted();
    throw new RewindFailed('pg_rewind failed', { detail: messageOf(error), cause: error });
  }
}
