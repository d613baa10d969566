import { Command, CommanderError } from 'commander';
import { programVersion } from '../system/program-version.ts';

/** What commander made of the command line. */
export type OptionsRead =
  | { readonly kind: 'options'; readonly options: Readonly<Record<string, never>> }
  | { readonly kind: 'answered' }
  | { readonly kind: 'wrong'; readonly message: string };

const after = `
Without an action: checks the configuration and says so.

In postgresql.conf:
  archive_mode = on
  archive_command = '/path/to/cmd_archiver -C /path/to/cmd_archiver.ini -F %p'
`;

function declare(version: string, print: (text: string) => void): Command {
  return new Command('cmd_archiver')
    .description("Ships PostgreSQL's WAL from the primary to its standbys.")
    .option('-C, --config <file>', 'the configuration file (cmd_archiver.ini)')
    .option('-I, --init', 'make the queues, one per standby; can be repeated')
    .option(
      '--plant <standby>',
      'with -I: mark its archive directory although WAL was delivered there before',
    )
    .option('-F, --file <path>', "archive one WAL file: PostgreSQL's %p")
    .option('--ship', 'ship WAL ahead of archive_command until the server stops; for a service')
    .option('--flush', 'send what the queues hold, and what a stopped PostgreSQL had not archived')
    .option('--cleanup', 'remove what dead processes left half made')
    .option('--abandon <standby>', 'free the queue of a standby; it will need a new base backup')
    .option('--resume <standby>', 'send WAL to an abandoned standby again, from now on')
    .option('--dry-run', 'with --flush, --cleanup, --abandon, --resume: only say what would be done')
    .version(version, '--version', 'print the version')
    .helpOption('-h, --help', 'print this help')
    .addHelpText('after', after)
    .allowExcessArguments(false)
    .exitOverride()
    .configureOutput({ writeOut: print, writeErr: () => undefined });
}

export function readOptions(argv: readonly string[], print: (text: string) => void): OptionsRead {
  const command = declare(programVersion(), print);
  try {
    command.parse(argv, { from: 'user' });
    return { kind: 'options', options: command.opts() };
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.exitCode === 0) return { kind: 'answered' };
    return { kind: 'wrong', message: error.message.replace(/^error: /, '').replace(/\.$/, '') };
  }
}
