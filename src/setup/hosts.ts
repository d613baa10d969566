/** The other hosts: whether each lets our keys in, and what it shows. */
import type { HostAddress } from '../host-address.ts';
import { addressesOf, isLoopback, ownAddresses } from '../system/own-addresses.ts';
import type { ProgramDeps } from '../system/program-deps.ts';
import { refusalOf, type RemoteShell } from '../system/ssh.ts';
import { archiveWork } from '../verbs/archive-requests.ts';
import type { HostFacts, NamedHost, PrimaryFacts } from './facts.ts';
import type { Places } from './places.ts';
import { observePrimary } from './primary-there.ts';
import type { SetupRequest } from './request.ts';
import { ownTarget, tryLogin, usersTarget } from './ssh.ts';

const limitMs = 20_000;

/** `-p PORT` in the arguments of ssh. */
export function portIn(args: readonly string[]): number | undefined {
  const at = args.indexOf('-p');
  const port = at < 0 ? NaN : Number(args[at + 1]);
  return Number.isInteger(port) && port > 0 ? port : undefined;
}

interface HostSeen {
  readonly facts: HostFacts;
  readonly primary: PrimaryFacts;
}

interface HostQuestion {
  readonly places: Places;
  readonly me: string;
  /** The role of this host: a standby asks the first host as its primary. */
  readonly role: SetupRequest['role'];
  readonly archive: string | undefined;
  readonly hasKey: boolean;
}

type ArchiveFacts = Pick<HostFacts, 'hasArchive' | 'archiveRefusal'>;

/** Each line of a sentinel begins with a mark. */
async function askArchive(shell: RemoteShell, archivedir: string): Promise<ArchiveFacts> {
  const asked = await shell.run(archiveWork('sentinel', { archivedir }, {}), { limitMs });
  if (asked.kind === 'lost') return { hasArchive: undefined };
  const archiveRefusal = refusalOf(asked);
  return { hasArchive: asked.lines.some((line) => line.startsWith(': ')), archiveRefusal };
}

async function observeHost(
  deps: ProgramDeps,
  address: NamedHost,
  { places, me, role, archive, hasKey }: HostQuestion,
): Promise<HostSeen> {
  const common = { ...address, addresses: await addressesOf(address.host) };
  const none: ArchiveFacts & { readonly primary?: PrimaryFacts } = { hasArchive: undefined };
  const unasked: PrimaryFacts = { kind: 'unasked' };
  if (!hasKey)
    return { facts: { ...common, hasArchive: undefined, login: { kind: 'no-key' } }, primary: unasked };
  const [side, otherSide] =
    role === 'standby' ? (['data', 'archive'] as const) : (['archive', 'data'] as const);
  const own = await tryLogin(deps, ownTarget(places, address, me, side), async (shell) => {
    if (role === 'standby')
      return {
        hasArchive: undefined,
        primary: await observePrimary(deps, shell, { path: places.archiverIni, me }),
      };
    const place = address.archive ?? archive;
    if (place === undefined) return { hasArchive: undefined, primary: unasked };
    return { ...(await askArchive(shell, place)), primary: unasked };
  });
  // The other key is for the time when the roles are changed.
  const other =
    own.login.kind === 'in'
      ? await tryLogin(deps, ownTarget(places, address, me, otherSide), () => Promise.resolve())
      : own;
  if (own.login.kind !== 'denied' && other.login.kind !== 'denied') {
    const { primary = unasked, ...archiveFacts } = own.value ?? none;
    return { facts: { ...common, ...archiveFacts, login: own.login }, primary };
  }
  const byOwnKeys = await hasShellThere(deps, usersTarget(places, address, me));
  const login = { kind: 'denied', byOwnKeys } as const;
  return { facts: { ...common, hasArchive: undefined, login }, primary: unasked };
}

/** Whether the user's other keys are let in, and can do more than ask for our requests. */
async function hasShellThere(deps: ProgramDeps, target: ReturnType<typeof usersTarget>): Promise<boolean> {
  const users = await tryLogin(deps, target, (shell) => Promise.resolve(shell.served === undefined));
  return users.login.kind === 'in' && users.value === true;
}

interface Neighbour extends HostAddress {
  /** Where WAL arrives there. */
  readonly archive: string;
}

/** The other standbys of a primary, to one of them: each is the primary of the others after a change of roles. */
function othersOf(primary: PrimaryFacts): readonly Neighbour[] {
  if (primary.kind !== 'seen') return [];
  return primary.settings.standbys
    .filter(({ name }) => name !== primary.ownName)
    .map(({ host, ssh, r_archivedir: archive }) => ({ host, port: portIn(ssh.args), archive }));
}

/** A second standby on this very host is no other host. */
function isElsewhere({ addresses }: HostFacts): boolean {
  const own = ownAddresses().filter((address) => !isLoopback(address));
  return !addresses.some((address) => own.includes(address));
}

interface Neighbours {
  /** On a standby the primary comes first. */
  readonly hosts: readonly HostFacts[];
  readonly primary: PrimaryFacts;
}

export async function observeHosts(
  deps: ProgramDeps,
  addresses: readonly NamedHost[],
  question: HostQuestion,
): Promise<Neighbours> {
  const seen = await Promise.all(addresses.map((address) => observeHost(deps, address, question)));
  const named = seen.map(({ facts }) => facts);
  const [first] = seen;
  if (question.role === 'primary' || first === undefined)
    return { hosts: named, primary: { kind: 'unasked' } };
  const { primary } = first;
  const others = await Promise.all(
    othersOf(primary).map(async ({ archive, ...address }) => {
      const asked = { ...question, role: 'primary', archive } as const;
      return { ...(await observeHost(deps, address, asked)).facts, archive };
    }),
  );
  return { hosts: [...named, ...others.filter(isElsewhere)], primary };
}
