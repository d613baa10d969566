import { PitrError } from '../../errors.ts';
import type { PageLayout } from '../../postgres/control-file.ts';
import { pageLsn, type PageState, pageState, viewPage } from '../../postgres/page-checksum.ts';
import { shellQuote } from '../../system/shell-quote.ts';
import type { Primary } from '../primary/primary.ts';
import { runRemotely } from '../primary/remote-files.ts';
import type { BadPage } from './check-file.ts';

/** The server that is asked: the one from which the pages were copied, or else the primary. */
export type PageSource = Pick<Primary, 'shell' | 'facts'>;

/** The page that this server has now at the same place. */
export type SourcePage =
  | { readonly kind: 'gone' }
  /** The file ends before the page. */
  | { readonly kind: 'beyond-end' }
  | { readonly kind: 'unreadable'; readonly reason: string }
  | {
      readonly kind: 'page';
      readonly state: PageState;
      readonly lsn: bigint;
      /** Times of the file, in seconds since 1970 by the primary's clock; undefined where its file system keeps none. */
      readonly changedS: number;
      readonly bornS: number | undefined;
    };

/** A page takes 16 kB of text in transfer: this many are requested at once. */
const batchPages = 64;
const attempts = 5;
/** A page that is being written while it is read is complete a moment later. */
const retryMs = 250;

function scriptFor(dataDirectory: string, page: BadPage, { blockSize, segmentBlocks }: PageLayout): string {
  const file = shellQuote(`${dataDirectory}/${page.file.path}`);
  const index = page.block - page.file.segment * segmentBlocks;
  // The times come first: a change between the two is visible in the page.
  return `LC_ALL=C stat -L -c 'times %Y %W' -- ${file} 2>&1
printf 'bytes '; od -An -v -tx1 -j ${index * blockSize} -N ${blockSize} ${file} 2>/dev/null | tr -d ' \\n'; echo`;
}

function parsePage(text: string, block: number, { blockSize }: PageLayout) {
  const bytes = Buffer.from(text, 'hex');
  if (bytes.length < blockSize) return undefined;
  // A buffer of its own: one from Node's pool need not begin at a multiple of 4.
  const page = viewPage(Uint8Array.from(bytes).buffer, 0, blockSize);
  return { state: pageState(page, block), lsn: pageLsn(page) };
}

/** The two lines that the script prints for one page. */
export function parseSourcePage(
  [times = '', content = '']: readonly string[],
  block: number,
  layout: PageLayout,
): SourcePage {
  const [word, changed, born] = times.split(' ');
  if (word !== 'times')
    return times.includes('No such file') ? { kind: 'gone' } : { kind: 'unreadable', reason: times };
  const page = parsePage(content.replace(/^bytes /, ''), block, layout);
  if (page === undefined) return { kind: 'beyond-end' };
  // 0 or - if the birth time is not known.
  const bornS = Number(born) > 0 ? Number(born) : undefined;
  return { kind: 'page', ...page, changedS: Number(changed), bornS };
}

/** Reads each page once, into `found`. */
async function askOnce(
  { shell, facts }: PageSource,
  pages: readonly BadPage[],
  layout: PageLayout,
  found: Map<BadPage, SourcePage>,
): Promise<void> {
  for (let from = 0; from < pages.length; from += batchPages) {
    const batch = pages.slice(from, from + batchPages);
    const scripts = batch.map((page) => scriptFor(facts.dataDirectory, page, layout));
    const { lines } = await runRemotely(shell, scripts.join('\n'));
    if (lines.length < 2 * batch.length)
      throw new PitrError(
        `${shell.target.host} answered for ${Math.floor(lines.length / 2)} of ${batch.length} pages`,
      );
    for (const [index, page] of batch.entries())
      found.set(page, parseSourcePage(lines.slice(2 * index, 2 * index + 2), page.block, layout));
  }
}

/** Reads these pages from the server they came from; bad ones are read again a few times. */
export async function readSourcePages(
  server: PageSource,
  pages: readonly BadPage[],
  layout: PageLayout,
  pause: (ms: number) => Promise<void>,
): Promise<readonly SourcePage[]> {
  const found = new Map<BadPage, SourcePage>();
  await askOnce(server, pages, layout, found);
  for (let attempt = 2; attempt <= attempts; attempt += 1) {
    const again = pages.filter((page) => {
      const source = found.get(page);
      return source?.kind === 'page' && source.state === 'bad';
    });
    if (again.length === 0) break;
    await pause(retryMs);
    await askOnce(server, again, layout, found);
  }
  return pages.flatMap((page) => found.get(page) ?? []);
}
