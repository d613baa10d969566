import { exitCodes, messageOf, PitrError } from '../../errors.ts';
import { inputLines } from '../../system/input-lines.ts';
import type { Log } from '../../system/log.ts';
import { printable, quoted } from '../../system/printable.ts';
import { refusalsName } from '../../system/refusals.ts';
import { refusalMark } from '../../system/served.ts';
import { readVerbCall, type VerbCall } from '../../verbs/read-call.ts';
import { keyInput, serveKey } from '../../verbs/serve-key.ts';
import { answerMark, type AnswerOf, type ArgumentsOf, type VerbName } from '../../verbs/verbs.ts';
import { listHoldings } from '../archive/holdings.ts';
import { takeInventory } from '../archive/inventory.ts';
import { checkLeft, markLeft, unmarkLeft } from '../archive/mark-left.ts';
import { observeOffer } from '../archive/offer.ts';
import { archiveFile, archiveService } from '../archive/served.ts';
import type { StandbyDeps } from '../deps.ts';
import { becomeStandby, followAsked } from '../follow/asked.ts';
import { primaryFacts } from '../hand-over/facts.ts';
import { countOpenTransactions, prepareSwitchover } from '../hand-over/prepare.ts';
import { resumePrimary } from '../hand-over/resume.ts';
import { stopPrimary } from '../hand-over/stop.ts';
import { tryFollow } from '../hand-over/try-follow.ts';
import { observeStatus } from '../server/progress.ts';

type Handler<Name extends VerbName> = (deps: StandbyDeps, args: ArgumentsOf<Name>) => Promise<AnswerOf<Name>>;

const handlers: { readonly [Name in VerbName]: Handler<Name> } = {
  status: observeStatus,
  list: listHoldings,
  inventory: takeInventory,
  'mark-left': markLeft,
  'check-left': checkLeft,
  'unmark-left': unmarkLeft,
  'wal-from': (deps, { lsn }) => observeOffer(deps, lsn),
  follow: followAsked,
  'become-standby': becomeStandby,
  'primary-facts': primaryFacts,
  'try-follow': tryFollow,
  'prepare-switchover': prepareSwitchover,
  'open-transactions': countOpenTransactions,
  'stop-primary': stopPrimary,
  'resume-primary': resumePrimary,
};

async function answerOf(deps: StandbyDeps, call: VerbCall): Promise<string> {
  // The compiler cannot see that the arguments belong to the handler of the same name.
  const handler: (given: StandbyDeps, args: never) => Promise<unknown> = handlers[call.name];
  const answer = await handler(deps, call.arguments as never);
  return `${answerMark}${JSON.stringify(answer)}`;
}

async function answerTo(deps: StandbyDeps, call: VerbCall): Promise<void> {
  deps.report(await answerOf(deps, call));
}

function describe(error: unknown): string {
  const { detail, hint } = error instanceof PitrError ? error : {};
  return [messageOf(error), detail, hint].filter(Boolean).join('; ');
}

/** --serve -: one call after the other, until standard input ends. A call that fails does not end it. */
async function serveLines(deps: StandbyDeps): Promise<void> {
  const onCut = () => {
    deps.report(`${refusalMark}the last line does not end with a line feed: it may be cut off`);
  };
  for await (const line of inputLines(deps.signal, onCut)) {
    try {
      await answerTo(deps, readVerbCall(line));
    } catch (error) {
      deps.report(`${refusalMark}${quoted(describe(error))}`);
    }
  }
}

/** --serve: carries out one verb for another host, and answers with one line of JSON. */
export async function serveVerb(deps: StandbyDeps, call: VerbCall | 'lines'): Promise<number> {
  await (call === 'lines' ? serveLines(deps) : answerTo(deps, call));
  return 0;
}

/** Standard error of a connection is for what went wrong with it. */
const silent: Log = {
  debug: () => undefined,
  notice: () => undefined,
  warning: () => undefined,
  error: () => undefined,
};

/** --serve without a value: sshd runs it for a restricted key. */
export async function serveRestricted(deps: StandbyDeps, roles: boolean): Promise<number> {
  const quiet = { ...deps, log: silent };
  const io = keyInput(deps, 'cmd_standby', await archiveFile(deps, refusalsName));
  return serveKey(io, {
    ...(await archiveService(quiet, roles)),
    verb: async (call, write) => {
      try {
        write(`${printable(await answerOf(quiet, call))}\n`);
        return 0;
      } catch (error) {
        write(`${refusalMark}${quoted(describe(error), 2000)}\n`);
        return error instanceof PitrError ? error.exitCode : exitCodes.bug;
      }
    },
  });
}
