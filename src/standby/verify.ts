import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { exitCodes, messageOf, PitrError, refusal } from '../errors.ts';
import { pageLayoutOf, type PageLayout } from '../postgres/control-file.ts';
import { parseLsn } from '../postgres/lsn.ts';
import { readPostmaster } from '../system/postmaster.ts';
import type { StandbyDeps } from './deps.ts';
import { withPrimary } from './primary.ts';
import { changeRecord, readRecord, type BackupRecord } from './record.ts';
import { readDataDirectory, refuseIncompleteCopy } from './server/data-directory.ts';
import type { BadPage } from './verify/check-file.ts';
import { describeFindings, describeVerification, findingsOfCopy } from './verify/findings.ts';
import type { SourcePage } from './verify/source-pages.ts';
import { distrustFiles, sourceOf, verifyCopy } from './verify/verify-copy.ts';

async function requireUntouchedCopy(pgdata: string): Promise<BackupRecord> {
  await refuseIncompleteCopy(pgdata);
  const { backupLabel } = await readDataDirectory(pgdata);
  const { backup } = await readRecord(pgdata);
  const postmaster = await readPostmaster(pgdata);
  if (backup === undefined)
    throw refusal(`"${pgdata}" holds no base backup of cmd_standby`, {
      hint: 'Make one: cmd_standby -C FILE -B',
    });
  if (backupLabel === undefined || postmaster.kind === 'running') {
    throw refusal(`a server has run on "${pgdata}" since its base backup`, {
      hint: 'Its pages are no copy any more: stop the server and let pg_checksums --check read them.',
    });
  }
  return backup;
}

async function requireChecksums(pgdata: string): Promise<PageLayout> {
  const layout = pageLayoutOf(await readFile(join(pgdata, 'global', 'pg_control')));
  if (layout?.hasChecksums === true) return layout;
  throw refusal(`the cluster in "${pgdata}" has no data checksums, so nothing can be verified`, {
    hint: 'initdb --data-checksums makes them; from PostgreSQL 12 pg_checksums --enable does on a stopped primary.',
  });
}

/** The primary may be dead on the day on which its copy is looked at. */
async function askPrimary(
  deps: StandbyDeps,
  backup: BackupRecord,
  pages: readonly BadPage[],
  layout: PageLayout,
): Promise<readonly SourcePage[] | undefined> {
  try {
    return await withPrimary(deps, async (primary) => {
      if (primary.facts.systemIdentifier !== backup.systemIdentifier)
        throw new PitrError(`it is another cluster, ${primary.facts.systemIdentifier}`);
      return sourceOf(deps, primary)(pages, layout);
    });
  } catch (error) {
    deps.signal.throwIfAborted();
    deps.log.warning(`pages that fail cannot be compared with the primary's: ${messageOf(error)}`);
    return undefined;
  }
}

/** `--verify` by itself: the pages of a finished base backup on which no server was started yet. */
export async function verifyBackup(
  deps: StandbyDeps,
  options: { readonly dryRun: boolean; readonly json: boolean },
): Promise<number> {
  const { pgdata } = deps.settings;
  const backup = await requireUntouchedCopy(pgdata);
  const layout = await requireChecksums(pgdata);
  const verification = await verifyCopy(deps, pgdata, {
    layout,
    span: {
      startLsn: parseLsn(backup.startLsn),
      stopLsn: parseLsn(backup.stopLsn ?? backup.startLsn),
      startS: Date.parse(backup.startTime) / 1000,
    },
    readSource: (pages) => askPrimary(deps, backup, pages, layout),
    onProgress: () => undefined,
  });
  const verified = { time: deps.now().toISOString(), ...verification };
  if (!options.dryRun) {
    await distrustFiles(pgdata, verification.findings);
    await changeRecord(pgdata, { backup: { ...backup, verified } });
  }
  deps.report(options.json ? JSON.stringify(verified) : `Verified: ${describeVerification(verification)}`);
  if (verification.findings.length === 0) return 0;
  const isCopyBad = findingsOfCopy(verification).length > 0;
  deps.log.error('the base backup is damaged', {
    detail: describeFindings(verification.findings),
    hint: isCopyBad
      ? 'Run -B --verify again: it copies these files anew.'
      : 'Repair the primary: its own pages are damaged. The copy is as good as they are.',
  });
  return exitCodes.failure;
}
