import { PitrError } from '../../errors.ts';
import type { PageLayout } from '../../postgres/control-file.ts';
import { pageLsn, type PageState, pageState, viewPage } from '../../postgres/page-checksum.ts';
import { dataWork } from '../../verbs/data-requests.ts';
import { inFile, type PagePlace } from '../../verbs/scripts/data-files.ts';
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

function placeOf({ file, block }: BadPage, { blockSize, segmentBlocks }: PageLayout): PagePlace {
  const index = block - file.segment * segmentBlocks;
  return { path: file.path, offset: index * blockSize, bytes: blockSize };
}

function parsePage(text: string, block: number, { blockSize }: PageLayout) {
  const bytes = Buffer.from(text, 'hex');
  if (bytes.length < blockSize) return undefined;
  // A buffer of its own: one from Node's pool need not begin at a multiple of 4.
  const page = viewPage(Uint8Array.from(bytes).buffer, 0, blockSize);
  return { state: pageState(page, block), lsn: pageLsn(page) };
}

const pageLine = new RegExp(`^bytes ([0-9a-f]*)( ${inFile} ?)?(.*)$`);

/** The two lines that the script prints for one page. */
export function parseSourcePage(
  [times = '', content = '']: readonly string[],
  block: number,
  layout: PageLayout,
): SourcePage {
  const [word, changed, born] = times.split(' ');
  if (word !== 'times')
    return times.includes('No such file') ? { kind: 'gone' } : { kind: 'unreadable', reason: times };
  const [, hex = '', present, reason = ''] = pageLine.exec(content) ?? [];
  const page = parsePage(hex, block, layout);
  if (page === undefined) {
    if (present === undefined) return { kind: 'beyond-end' };
    if (reason.includes('No such file')) return { kind: 'gone' };
    return { kind: 'unreadable', reason: reason === '' ? 'only a part of the page could be read' : reason };
  }
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
    const places = batch.map((page) => placeOf(page, layout));
    const work = dataWork('pages', { root: facts.dataDirectory, pages: places });
    const { lines } = await runRemotely(shell, work);
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
