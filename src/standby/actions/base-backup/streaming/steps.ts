import { describeCopied } from '../facts.ts';
import { type BackupRun, giving, resultOf, step } from '../results.ts';
import { awaitStop } from './await-stop.ts';
import { moveIntoPlace } from './move-into-place.ts';
import { makeTargets, removeOldCopy } from './old-copy.ts';
import { noteBeginning, receiveBackup, removeReceived } from './receive.ts';

async function removeWhatWasReceived({ facts }: BackupRun): Promise<void> {
  await removeReceived(facts.place);
}

/** The steps of a base backup by pg_basebackup alone. */
export const receivingSteps = {
  'note-beginning': giving('note-beginning', {
    say: (_step, { facts }) =>
      `ask the primary for its clock: a backup with the label "${facts.label}" begins`,
    run: noteBeginning,
    leavesNothing: true,
  }),
  'remove-old-copy': step({
    say: (_step, { facts }) =>
      `remove the copy in "${facts.place.pgdata}" and in the tablespaces first: there is no room for two`,
    run: async ({ facts, state }) => {
      await makeTargets(facts.place);
      state.isCopyBegun = true;
      await removeOldCopy(facts.place, facts.primary.capabilities);
    },
  }),
  receive: giving('receive', {
    say: (_step, { facts }) =>
      `receive "${facts.primary.dataDirectory}" by pg_basebackup beside the contents of "${facts.place.pgdata}"`,
    run: (run) => receiveBackup(run, run.beganMs),
    undo: removeWhatWasReceived,
    leavesNothing: true,
  }),
  'move-into-place': step({
    say: (_step, { facts }) => `move ${describeCopied(facts)} into place`,
    run: async (run) => {
      const { control } = resultOf(run, 'receive');
      run.state.isCopyBegun = true;
      await moveIntoPlace(run, control);
    },
    undo: removeWhatWasReceived,
  }),
  'await-stop': giving('await-stop', {
    say: (_step, { facts }) =>
      `wait until the primary has reported in "${facts.place.archivedir}" where the backup ended`,
    run: (run) => awaitStop(run, resultOf(run, 'receive').label),
    leavesNothing: true,
  }),
};
