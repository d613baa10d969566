import { PitrError } from '../../errors.ts';
import type { Section } from '../../status/report.ts';
import { showJson, showTables } from '../../status/show.ts';
import { callerText } from '../../system/caller.ts';
import { documentHead } from '../../system/json-document.ts';
import { quoted } from '../../system/printable.ts';
import { whenText } from '../../when.ts';
import type { ArchiverDeps } from '../deps.ts';
import { rangeOf } from '../lane/modes.ts';
import { type Ledger, ledgerNames, readLedger } from '../ledger/read.ts';
import { eventWords } from '../ledger/words.ts';

/** The form of --json: it changes when a field is removed or changes its meaning. */
const jsonVersion = 1;

function rangeRows({ delivered, missing }: Ledger): string[][] {
  const rows = [
    ...delivered.map((range) => ({
      ...range,
      cells: [
        whenText(range.firstAt),
        whenText(range.lastAt),
        range.learned > 0 ? `delivered; ${range.learned} seen at the standby only` : 'delivered',
      ],
    })),
    ...missing.map((range) => ({ ...range, cells: ['', '', range.why] })),
  ];
  return rows
    .sort((a, b) => (a.first < b.first ? -1 : 1))
    .map(({ first, last, segments, cells }) => [first, last, String(segments), ...cells]);
}

function sectionsOf(ledger: Ledger): readonly Section[] {
  const { standby, isServed, events, abandonment, isCut } = ledger;
  const rows = rangeRows(ledger);
  const notes = [
    ...(isServed ? [] : ['it is not in slaves']),
    ...(abandonment === undefined
      ? []
      : [`abandoned since ${whenText(abandonment.since)}, ${rangeOf(abandonment)}`]),
    ...(isCut ? ['older entries were removed'] : []),
    ...(rows.length === 0 ? ['nothing is recorded'] : []),
  ];
  const title = `Standby ${quoted(standby)}${notes.length === 0 ? '' : ` (${quoted(notes.join('; '))})`}`;
  return [
    { title, head: ['from', 'to', 'segments', 'first at', 'last at', ''], rows },
    {
      title: `Events of ${quoted(standby)}`,
      rows: events.map((event) => [whenText(event.at), eventWords(event), callerText(event)]),
    },
  ];
}

/** Lines that are not in our form are said, and the rest is shown. */
function sayRefused({ log }: ArchiverDeps, { refused }: Ledger): void {
  for (const { file, line, reason } of refused)
    log.warning(`line ${line} of "${file}" is not understood, and is left out: ${quoted(reason)}`);
}

async function chosenLedgers(deps: ArchiverDeps, standby: string | undefined): Promise<readonly Ledger[]> {
  const names = await ledgerNames(deps);
  if (standby !== undefined && !names.includes(standby))
    throw new PitrError(`"${quoted(standby)}" is not a standby of this configuration, and has no ledger`, {
      hint: `Known: ${names.join(', ')}.`,
    });
  const ledgers: Ledger[] = [];
  for (const name of standby === undefined ? names : [standby]) ledgers.push(await readLedger(deps, name));
  return ledgers;
}

function shownOf(ledger: Ledger) {
  const { standby, isServed, delivered, missing, events, refused, isCut, abandonment } = ledger;
  return { standby, isServed, delivered, missing, events, refused, isCut, abandonment };
}

/** `--ledger`: the WAL that was delivered to each standby, and the events beside it. Changes nothing. */
export async function showLedger(
  deps: ArchiverDeps,
  { standby, json }: { readonly standby: string | undefined; readonly json: boolean },
): Promise<number> {
  const ledgers = await chosenLedgers(deps, standby);
  for (const ledger of ledgers) sayRefused(deps, ledger);
  if (json) {
    showJson({
      ...documentHead(jsonVersion, { program: 'cmd_archiver', host: deps.hostName, atMs: deps.now() }),
      standbys: ledgers.map(shownOf),
    });
    return 0;
  }
  const sections = ledgers.flatMap(sectionsOf);
  // A table without rows is not shown.
  for (const { title, head, rows } of sections)
    if (head !== undefined && rows.length === 0) deps.report(title);
  if (sections.some(({ rows }) => rows.length > 0)) showTables(sections);
  return 0;
}
