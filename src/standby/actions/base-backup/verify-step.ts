import { PitrError } from '../../../errors.ts';
import { pageLayoutOf } from '../../../postgres/control-file.ts';
import type { BackupRecord, VerifiedFacts } from '../../host/backup-record/record.ts';
import { describeFindings, describeVerification, findingsOfCopy } from '../../page-check/findings.ts';
import { distrustFiles, sourceOf, verifyCopy } from '../../page-check/verify-copy.ts';
import { type BackupContext, needed } from './context.ts';

/**
 * `-B --verify`: checks every page of the copy before the backup ends on the primary. Every change on the primary up to
 * the comparison is then in the WAL of this backup, which distinguishes a torn page from a damaged one.
 */
export async function verifyStep(
  { deps, primary, facts, onEvent }: BackupContext,
  control: Buffer,
  record: BackupRecord,
): Promise<VerifiedFacts> {
  const { pgdata } = facts.place;
  onEvent({ kind: 'phase', phase: 'verify' });
  const layout = needed(pageLayoutOf(control), 'the size of a page');
  if (!layout.hasChecksums)
    throw new PitrError('the data checksums of the primary were switched off during the base backup', {
      hint: 'Run -B again, without --verify as long as the primary has no checksums.',
    });
  const verified = await verifyCopy(deps, pgdata, record, {
    layout,
    readSource: sourceOf(deps, primary),
    onProgress: (files, bytes) => {
      onEvent({ kind: 'progress', files, bytes });
    },
  });
  deps.log.debug(`verified ${describeVerification(verified)}`);
  const damaged = findingsOfCopy(verified);
  if (damaged.length === 0) return verified;
  await distrustFiles(pgdata, damaged);
  throw new PitrError('the copy is damaged', {
    detail: describeFindings(verified.findings),
    hint: 'Run -B --verify again: it copies these files anew. If pages are damaged again, look at the disk and the memory of this host.',
  });
}
