import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { exitCodes, messageOf, PitrError, refusal } from '../../errors.ts';
import { type PageLayout, pageLayoutOf } from '../../postgres/control-file.ts';
import { readPostmaster } from '../../system/postmaster.ts';
import type { StandbyDeps } from '../deps.ts';
import { type BackupRecord, changeRecord, readRecord } from '../host/backup-record/record.ts';
import type { BadPage } from '../page-check/check-file.ts';
import {
  describeFindings,
  describeVerification,
  findingsOfCopy,
  type Verification,
} from '../page-check/findings.ts';
import { findAbsentTablespaces } from '../page-check/relation-files.ts';
import { readSourcePages } from '../page-check/source-pages.ts';
import { distrustFiles, type SourceAnswer, verifyCopy } from '../page-check/verify-copy.ts';
import { withConfiguredSource } from '../primary/connect.ts';
import { withPrimary } from '../primary/primary.ts';
import { readDataDirectory, refuseIncompleteCopy } from '../server/data-directory.ts';

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

/** A tablespace that is not there would be passed over, and the copy called good. */
async function requireTablespaces(pgdata: string): Promise<void> {
  const absent = await findAbsentTablespaces(pgdata);
  const [first] = absent;
  if (first === undefined) return;
  throw refusal(`"${join(pgdata, first)}" leads to no files of this copy: is its file system mounted?`, {
    detail: absent.length === 1 ? undefined : `The same holds for ${absent.slice(1).join(', ')}.`,
    hint: 'Mount it, and verify again. If it is lost, run -B again.',
  });
}

async function requireChecksums(pgdata: string): Promise<PageLayout> {
  const layout = pageLayoutOf(await readFile(join(pgdata, 'global', 'pg_control')));
  if (layout?.hasChecksums === true) return layout;
  throw refusal(`the cluster in "${pgdata}" has no data checksums, so nothing can be verified`, {
    hint: 'initdb --data-checksums makes them; from PostgreSQL 12 pg_checksums --enable does on a stopped primary.',
  });
}

/** The servers that can be asked for pages: first the one that the copy came from, if the INI file still names it. */
function serversToAsk({ settings }: StandbyDeps, { source }: BackupRecord) {
  const primary = { name: 'the primary', isOrigin: source === undefined, connect: withPrimary<SourceAnswer> };
  if (source === undefined || settings.basebackup_source !== source) return [primary];
  return [{ name: source, isOrigin: true, connect: withConfiguredSource<SourceAnswer> }, primary];
}

/** These servers may be unreachable long after the backup. */
async function askSource(
  deps: StandbyDeps,
  backup: BackupRecord,
  pages: readonly BadPage[],
  layout: PageLayout,
): Promise<SourceAnswer | undefined> {
  for (const { name, isOrigin, connect } of serversToAsk(deps, backup)) {
    try {
      return await connect(deps, async (server) => {
        if (server.facts.systemIdentifier !== backup.systemIdentifier)
          throw new PitrError(`it is another cluster, ${server.facts.systemIdentifier}`);
        const found = await readSourcePages(server, pages, layout, deps.pause);
        return { pages: found, name, isOrigin };
      });
    } catch (error) {
      deps.signal.throwIfAborted();
      deps.log.warning(`pages that fail cannot be compared with ${name}'s: ${messageOf(error)}`);
    }
  }
  return undefined;
}

function hintOn(findings: Verification, { source }: BackupRecord): string {
  if (findingsOfCopy(findings).length > 0) return 'Run -B --verify again: it copies these files anew.';
  return source === undefined
    ? 'Repair the primary: its own pages are damaged. The copy is as good as they are.'
    : 'Run -B --verify again without basebackup_source: the pages are damaged where they were copied from, too.';
}

/** `--verify` alone: checks the pages of a finished base backup on which no server has started yet. */
export async function verifyBackup(
  deps: StandbyDeps,
  options: { readonly dryRun: boolean; readonly json: boolean },
): Promise<number> {
  const { pgdata } = deps.settings;
  const backup = await requireUntouchedCopy(pgdata);
  const layout = await requireChecksums(pgdata);
  await requireTablespaces(pgdata);
  const verified = await verifyCopy(deps, pgdata, backup, {
    layout,
    readSource: (pages) => askSource(deps, backup, pages, layout),
    onProgress: () => undefined,
  });
  if (!options.dryRun) {
    await distrustFiles(pgdata, verified.findings);
    await changeRecord(pgdata, { backup: { ...backup, verified } });
  }
  deps.report(options.json ? JSON.stringify(verified) : `Verified: ${describeVerification(verified)}`);
  if (verified.findings.length === 0) return 0;
  deps.log.error('the base backup is damaged', {
    detail: describeFindings(verified.findings),
    hint: hintOn(verified, backup),
  });
  return exitCodes.failure;
}
