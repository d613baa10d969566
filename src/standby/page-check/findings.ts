import { type Checked, type Guarded, is } from '../../system/json.ts';
import type { BadPage } from './check-file.ts';
import type { CopyCheck } from './check-files.ts';
import type { Verdict } from './judge.ts';

/** An error that the verification of a copy found. */
const isFinding = is.object({
  /** Relative to the data directory. */
  file: is.text,
  /** Block of the relation, as the server's own messages count; undefined where the whole file is meant. */
  block: is.optional(is.number),
  kind: is.oneOf('bad-copy', 'bad-source', 'unclear', 'unreadable'),
  reason: is.text,
});

export type Finding = Guarded<typeof isFinding>;

/** The result of a verification, for people, for machines and for the record in pgdata. */
export const verificationFields = {
  files: is.number,
  pages: is.number,
  bytes: is.number,
  /** Pages that were torn by a write while they were copied: the WAL of the backup contains them completely. */
  leftToWal: is.number,
  findings: is.listOf(isFinding),
};

export type Verification = Checked<typeof verificationFields>;

export interface JudgedPage {
  readonly page: BadPage;
  readonly verdict: Verdict;
  /** The name of the server that was asked for it, in messages: `the primary`. */
  readonly source: string;
}

function reasonOf(verdict: Exclude<Verdict, { kind: 'wal' }>, source: string): string {
  switch (verdict.kind) {
    case 'bad-copy':
      return `damaged in the copy; ${source}'s page is good`;
    case 'bad-source':
      return `damaged on ${source}, too`;
    case 'unclear':
      return `damaged in the copy; ${verdict.reason}`;
  }
}

function findingOf({ page, verdict, source }: JudgedPage): Finding | undefined {
  if (verdict.kind === 'wal') return undefined;
  return { file: page.file.path, block: page.block, kind: verdict.kind, reason: reasonOf(verdict, source) };
}

export function verificationOf(check: CopyCheck, judged: readonly JudgedPage[]): Verification {
  const unreadable = check.troubles.map(({ path, reason }): Finding => ({
    file: path,
    kind: 'unreadable',
    reason: `cannot be read: ${reason}`,
  }));
  const found = judged.map(findingOf).filter((finding) => finding !== undefined);
  return {
    files: check.files,
    pages: check.pages,
    bytes: check.bytes,
    leftToWal: judged.length - found.length,
    findings: [...unreadable, ...found],
  };
}

/** The copy itself must not be used, as opposed to a good copy of a damaged source. */
export function findingsOfCopy({ findings }: Pick<Verification, 'findings'>): readonly Finding[] {
  return findings.filter(({ kind }) => kind !== 'bad-source');
}

function describeFinding({ file, block, reason }: Finding): string {
  return block === undefined ? `${file}: ${reason}` : `${file}, block ${block}: ${reason}`;
}

const mostLines = 50;

/** One line for each, and how many more there are. */
export function describeFindings(findings: readonly Finding[]): string {
  const lines = findings.slice(0, mostLines).map(describeFinding);
  const rest = findings.length - lines.length;
  return [...lines, ...(rest > 0 ? [`and ${rest} more`] : [])].join('\n');
}

export function describeVerification({ files, pages, leftToWal, findings }: Verification): string {
  const torn =
    leftToWal === 0 ? '' : `; ${leftToWal} were written while they were copied, and the WAL has them whole`;
  const damage = findings.length === 0 ? 'none is damaged' : `${findings.length} findings`;
  return `${pages} pages in ${files} files, ${damage}${torn}`;
}
