/**
 * The requests to the archive of a standby that scripts carry out: everything that a primary and the other standbys do
 * there but the verbs (verbs.ts) and rsync (rsync-line.ts). A restricted key allows these and no others.
 */
import { linksScript } from '../check/links.ts';
import { forcedScript } from '../check/login.ts';
import { clockScript } from '../system/remote-clock.ts';
import { formatSentinel, sentinelName } from '../system/sentinel.ts';
import { shellQuote } from '../system/shell-quote.ts';
import type { RemoteWork } from '../system/ssh.ts';
import {
  cluster,
  directoryName,
  framedFile,
  oneOf,
  path,
  segmentName,
  severalOf,
  sizedFile,
  text,
  token,
  walName,
} from './arguments.ts';
import { type Arguments, type ScriptRequest, type ValuesOf, workOf } from './request.ts';
import { commitScript, type DeliveryPlace, helloScript, incoming } from './scripts/delivery.ts';
import { plantScript } from './scripts/plant.ts';
import { takeScript } from './scripts/take.ts';
import { unpackPart } from './scripts/unpack.ts';

/** The archive as the host that makes the script knows it. */
export interface ArchivePlace {
  readonly archivedir: string;
  /** Words for sh: rsync and cmd_standby there. */
  readonly rsync: string;
  readonly program: string;
  /** pg_wal of the server there. */
  readonly walDirectory: string;
}

/**
 * The first argument of each is the archive that the client means. The other end refuses if its own is another one: a key
 * may have been put before the wrong INI file.
 */
const archive = { archive: path } as const;
const lane = { cluster, lane: directoryName, run: token, mode: oneOf('store', 'compare') } as const;

function request<A extends Arguments>(
  args: A,
  script: (place: ArchivePlace, values: ValuesOf<A>) => string,
): ScriptRequest<ArchivePlace, typeof archive & A> {
  // The archive is already in `place`.
  return { arguments: { ...archive, ...args }, script: script };
}

const deliveryPlace = (
  { archivedir }: ArchivePlace,
  { cluster: systemIdentifier, lane: name, run, mode }: ValuesOf<typeof lane>,
): DeliveryPlace => ({ archivedir, systemIdentifier, lane: `${incoming}/${name}`, run, mode });

const where = oneOf('archive', 'pg_wal');

const enter = ({ archivedir, walDirectory }: ArchivePlace, which: 'archive' | 'pg_wal'): string =>
  `cd ${shellQuote(which === 'archive' ? archivedir : walDirectory)}`;

const sentinelBytes = 64 * 1024;
/** A process writes every ten seconds: more than this is no tail of the ledger. */
const mostNames = 20_000;

const inArchive = (archivedir: string, otherwise: string): string =>
  `LC_ALL=C; export LC_ALL
cd ${shellQuote(archivedir)} 2>/dev/null || ${otherwise}
`;

export const archiveRequests = {
  /** See delivery.ts of the scripts. */
  hello: request({ ...lane, names: severalOf(walName) }, (place, args) =>
    helloScript(deliveryPlace(place, args), args.names),
  ),
  commit: request({ ...lane, marks: severalOf(text), files: severalOf(sizedFile) }, (place, args) =>
    commitScript(deliveryPlace(place, args), args.files, args.marks),
  ),
  /** The same for segments that have arrived as frames. */
  'commit-frames': request(
    { ...lane, marks: severalOf(text), files: severalOf(framedFile) },
    (place, args) => {
      const there = deliveryPlace(place, args);
      return commitScript(there, args.files, args.marks, unpackPart(there, args.files));
    },
  ),
  /** Takes single segments on standard input into the inbox, for as long as its session lasts. */
  'take-segments': {
    ...request({ ...lane }, (place, args) => takeScript(deliveryPlace(place, args))),
    streams: true,
  },
  /** Removes the empty directories of a greeting that delivers nothing. */
  'end-hello': request(
    { lane: directoryName, run: token },
    ({ archivedir }, { lane: name, run }) =>
      `${inArchive(archivedir, 'exit 0')}rmdir ${incoming}/${name}/${run} ${incoming}/${name} 2>/dev/null`,
  ),
  /** Does nothing: the connection is seen to work. */
  alive: request({}, () => ':'),
  /** The sentinel. Each line begins with a mark, so that it is found among other output. */
  sentinel: request(
    {},
    ({ archivedir }) => `${clockScript}
${inArchive(archivedir, "{ echo 'no directory'; exit 0; }")}
[ -f ${sentinelName} ] || { echo 'no sentinel'; exit 0; }
head -c ${sentinelBytes} ${sentinelName} | sed 's/^/: /'`,
  ),
  /** Writes a sentinel where there is none, if that is permitted. */
  plant: request(
    {
      cluster,
      standby: text,
      primaryPgdata: path,
      nonce: token,
      permission: oneOf('never', 'if-empty', 'always'),
    },
    ({ archivedir }, { cluster: systemIdentifier, standby, primaryPgdata, nonce, permission }) => {
      const content = formatSentinel({
        systemIdentifier,
        standby,
        primaryPgdata,
        promotedAtTimeline: undefined,
        left: [],
      });
      return plantScript(archivedir, content, nonce, permission);
    },
  ),
  /** The segments of its timeline behind this one. They are compared as texts: awk would compare digits as numbers. */
  'segments-after': request(
    { last: segmentName },
    ({ archivedir }, { last }) =>
      `${inArchive(archivedir, 'exit 0')}ls | awk -v last=${last} 'length($0) == 24 && substr($0, 1, 8) == substr(last, 1, 8) "" && ($0 "") > (last "")' 2>/dev/null | head -n ${mostNames}`,
  ),
  'host-facts': request(
    {},
    ({ archivedir, rsync }) => `LC_ALL=C; export LC_ALL
${clockScript}
${forcedScript}
${linksScript(archivedir)}
${rsync} --version 2>&1 | sed -n '1s/^/rsync /p'
cd ${shellQuote(archivedir)} 2>/dev/null || exit 0
df -Pk . 2>/dev/null | sed 's/^/space /'
df -Pi . 2>/dev/null | sed 's/^/inodes /'`,
  ),
  /** The version of cmd_standby there. */
  'program-version': request({}, ({ program }) => `${program} --version 2>&1`),
  /** Succeeds if the file is there. */
  'has-file': request(
    { name: walName },
    ({ archivedir }, { name }) => `[ -f ${shellQuote(`${archivedir}/${name}`)} ]`,
  ),
  'digest-file': request(
    { name: walName },
    ({ archivedir }, { name }) => `LC_ALL=C cksum < ${shellQuote(`${archivedir}/${name}`)}`,
  ),
  /** Facts that would change if one of these segments was replaced. */
  'segment-identities': request(
    { where, names: severalOf(segmentName) },
    (place, args) => `${enter(place, args.where)} && stat -L -c '%n %d:%i %s %y' ${args.names.join(' ')}`,
  ),
  /** The bytes of these segments, one after the other. */
  'send-segments': {
    ...request(
      { where, names: severalOf(segmentName) },
      (place, args) => `${enter(place, args.where)} && exec cat ${args.names.join(' ')} </dev/null`,
    ),
    streams: true,
  },
} as const;

export type ArchiveRequestName = keyof typeof archiveRequests;

type ArgumentsOf<Name extends ArchiveRequestName> = Omit<
  ValuesOf<(typeof archiveRequests)[Name]['arguments']>,
  'archive'
>;

/** The work that asks for it. `place`: as the INI file of this host has it. */
export function archiveWork<Name extends ArchiveRequestName>(
  name: Name,
  place: Pick<ArchivePlace, 'archivedir'> & Partial<ArchivePlace>,
  args: ArgumentsOf<Name>,
): Exclude<RemoteWork, string> {
  // The compiler cannot see that the arguments belong to the request of this name.
  const wanted = archiveRequests[name] as unknown as ScriptRequest<ArchivePlace, Arguments>;
  const values = { archive: place.archivedir, ...args } as never;
  return workOf(
    name,
    wanted,
    { rsync: 'rsync', program: 'cmd_standby', walDirectory: '/', ...place },
    values,
  );
}
