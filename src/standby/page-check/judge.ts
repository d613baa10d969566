import type { BadPage } from './check-file.ts';
import type { SourcePage } from './source-pages.ts';

/** The meaning of a page that fails in the copy. */
export type Verdict =
  /** Replay of the backup's own WAL writes the page anew, or removes it: nothing is wrong. */
  | { readonly kind: 'wal' }
  /** The source's page is good and has not changed: only the copy is damaged. */
  | { readonly kind: 'bad-copy' }
  /** The source's page fails, too. */
  | { readonly kind: 'bad-source' }
  /** It cannot be determined which. */
  | { readonly kind: 'unclear'; readonly reason: string };

/** The moments of the backup that the page belongs to. */
export interface BackupSpan {
  readonly startLsn: bigint;
  /** Undefined during the backup: all that changes until the page is compared is in its WAL. */
  readonly stopLsn: bigint | undefined;
  /** Seconds since 1970, by the primary's clock. */
  readonly startS: number;
}

/** A kernel sets file times by a clock that ticks in milliseconds. */
const clockTickS = 1;

/**
 * A server changes the pages of these forks without a new LSN, as when it takes a page out of the visibility map, and
 * tolerates damage in them: it fills a failing page with zeros.
 */
function isRemadeByServer({ file }: BadPage): boolean {
  return file.fork === 'fsm' || file.fork === 'vm';
}

/** A good page of the primary that no WAL record has changed since the backup began. */
function judgeUnchanged(page: BadPage, source: SourcePage & { kind: 'page' }, span: BackupSpan): Verdict {
  const since = span.startS - clockTickS;
  if (source.changedS < since) return { kind: 'bad-copy' };
  // CREATE DATABASE may copy whole files; its WAL record copies them again here.
  if ((source.bornS ?? 0) >= since || isRemadeByServer(page)) return { kind: 'wal' };
  return { kind: 'bad-copy' };
}

function afterTheBackup(name: string, what: string): Verdict {
  return {
    kind: 'unclear',
    reason: `${name} has ${what} since, so that there is nothing to compare with`,
  };
}

function judgeSourcePage(
  page: BadPage,
  source: SourcePage & { kind: 'page' },
  span: BackupSpan,
  name: string,
): Verdict {
  if (source.state === 'bad') return { kind: 'bad-source' };
  if (source.state === 'new') return { kind: 'bad-copy' };
  if (source.lsn < span.startLsn) return judgeUnchanged(page, source, span);
  if (span.stopLsn === undefined || source.lsn <= span.stopLsn) return { kind: 'wal' };
  return afterTheBackup(name, 'changed the page');
}

/**
 * A page of the copy fails: torn by a write while it was copied, or damaged. The server logs complete pages for its
 * changes during a backup. A torn page is therefore recognised by its origin: the primary's page is good now and not
 * older than the backup's start. The LSN in the failing page proves nothing, because it may itself be damaged.
 */
export function judge(page: BadPage, source: SourcePage, span: BackupSpan, name = 'the primary'): Verdict {
  switch (source.kind) {
    case 'gone':
      return span.stopLsn === undefined ? { kind: 'wal' } : afterTheBackup(name, 'removed the file');
    case 'beyond-end':
      return span.stopLsn === undefined ? { kind: 'wal' } : afterTheBackup(name, 'truncated the file');
    case 'unreadable':
      return { kind: 'unclear', reason: source.reason };
    case 'page':
      return judgeSourcePage(page, source, span, name);
  }
}

/**
 * The verdict of a server from which the page was not copied. Perhaps that server has not written its page to its disk
 * yet, although the server that was copied from had. It would then take a page for damaged that was only torn by that
 * write.
 */
export function judgeByOther(page: BadPage, source: SourcePage, span: BackupSpan, name: string): Verdict {
  const verdict = judge(page, source, span, name);
  if (verdict.kind !== 'bad-copy' || judgeAlone(page, span).kind !== 'wal') return verdict;
  return { kind: 'unclear', reason: `${name}'s page is good, but it was copied from another server` };
}

/** Without the source: by the page itself. A torn page that is newer than the backup's start shows that as well. */
export function judgeAlone(page: BadPage, span: BackupSpan): Verdict {
  const isOfBackup = page.lsn >= span.startLsn && page.lsn <= (span.stopLsn ?? span.startLsn);
  if (isOfBackup) return { kind: 'wal' };
  return { kind: 'unclear', reason: 'it could not be compared with what it was copied from' };
}
