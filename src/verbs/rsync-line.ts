/**
 * The command line by which the rsync of a client starts its other half, as the program of a restricted key takes it: a
 * receiver of single files in the inbox of one run, and nothing else. Pure.
 *
 * A sender is never started: it reads names and filter rules from the client, and a rule can name any file. A receiver
 * that keeps no links and does not delete reads neither.
 */
import { directoryName, token } from './arguments.ts';
import { incoming } from './scripts/delivery.ts';

interface ReceiverLine {
  readonly kind: 'receive';
  /** `LANE/RUN`, both plain names. */
  readonly lane: string;
  readonly run: string;
  /** Relative to archivedir, with a slash at its end. */
  readonly inbox: string;
  /** Everything behind the word `rsync`. */
  readonly words: readonly string[];
}

export type RsyncLine = ReceiverLine | { readonly kind: 'refused'; readonly reason: string };

/**
 * v verbose, t times, I every file, W whole files, c checksums, z compress, h and i only for messages. Not here
 * are, among others, l (a link could lead anywhere), r and R (directories), D (devices), p (modes), and s (the options
 * would come later, unseen).
 */
const letters = 'vtIWczhi';
/** rsync adds what it is able to, behind `e`. */
const cluster = new RegExp(`^-(?=[a-zA-Z])[${letters}]*(?:e[0-9]*\\.[0-9]*[a-zA-Z]{0,20})?$`);

const number = String.raw`[0-9]{1,12}`;
const longOptions = [
  `--timeout=${number}`,
  `--bwlimit=${number}`,
  `--compress-level=-?${number}`,
  `--block-size=${number}`,
  `--checksum-seed=${number}`,
  '--compress-choice=[a-z0-9]{1,20}',
  '--checksum-choice=[a-z0-9]{1,20}(?:,[a-z0-9]{1,20})?',
  '--skip-compress=[a-z0-9/.]{0,500}',
  '--log-format=(?:%i|%i%I|X)',
  '--partial',
  '--new-compress',
  '--old-compress',
  '--fsync',
  '--no-r',
].map((pattern) => new RegExp(`^${pattern}$`));

/** Longer than any that we write. */
const longest = 2000;

const refused = (reason: string): RsyncLine => ({ kind: 'refused', reason });

function isAllowed(option: string): boolean {
  return cluster.test(option) || longOptions.some((pattern) => pattern.test(option));
}

function readInbox(target: string): { readonly lane: string; readonly run: string } | undefined {
  const [top, lane = '', run = '', end, ...more] = target.split('/');
  if (top !== incoming || end !== '' || more.length > 0) return undefined;
  if (directoryName.parse(lane) === undefined || token.parse(run) === undefined) return undefined;
  return { lane, run };
}

export function readRsyncLine(line: string): RsyncLine {
  if (line.length > longest) return refused('the rsync command line is too long');
  if (!/^[A-Za-z0-9 ._/=:,%-]+$/.test(line))
    return refused('it has a character that no rsync of ours writes');
  const [program, server, ...words] = line.split(' ');
  if (program !== 'rsync' || server !== '--server') return refused('only rsync --server is allowed');
  const end = words.indexOf('.');
  const options = words.slice(0, end < 0 ? undefined : end);
  const wrong = options.find((option) => !isAllowed(option));
  if (wrong !== undefined) return refused(`rsync option ${wrong} is not allowed`);
  const [target = '', ...more] = words.slice(end + 1);
  if (end < 0 || more.length > 0) return refused('rsync must name one directory');
  const inbox = readInbox(target);
  if (inbox === undefined) return refused(`rsync may write only into ${incoming}/LANE/RUN/ of the archive`);
  return { kind: 'receive', ...inbox, inbox: target, words: [server, ...words] };
}
