import { describe } from 'vitest';
import { missingHostNetworks } from '../harness/host-networks.ts';
import { missingPatroni } from '../harness/patroni.ts';
import { debianMajor } from '../harness/postgres-programs.ts';
import { createRandom, testSeed } from '../harness/random.ts';
import { test } from '../harness/test.ts';
import { change, type Kind, kinds, pick, setSynchronous } from './patroni-changes.ts';
import { startApplication, watchPromises } from './patroni-client.ts';
import { bootFedSite, feedSite, ourCommands } from './patroni-fed.ts';
import { makeSite } from './patroni-site.ts';
import { type Campaign, verify } from './patroni-verify.ts';
import { campaignLog } from './roles-kit.ts';

const seed = testSeed();
const changes = Number(process.env['PITRTOOLS_TEST_CHANGES'] ?? 4);
const missing = missingPatroni() ?? (await missingHostNetworks());
if (missing !== undefined) console.log(`skipped: ${missing}`);

/** Each kind once, in any order, and then at random. */
function choose(random: () => number, count: number): readonly Kind[] {
  const left = [...kinds].map((kind) => ({ kind, at: random() })).sort((one, other) => one.at - other.at);
  return Array.from({ length: count }, (_, index) => left[index]?.kind ?? pick(random, kinds));
}

describe.skipIf(missing !== undefined)('Patroni with three members, fed by our programs', () => {
  test.override({ major: debianMajor(), hasNetworks: true });

  test(
    `${changes} changes at random lose no number and leave no gap off site (seed ${seed})`,
    { timeout: 300_000 + changes * 240_000 },
    async ({ world }) => {
      const beganMs = Date.now();
      const random = createRandom(seed);
      const log = campaignLog();
      const done: string[] = [];
      const isSynchronous = random() < 0.5;
      const site = await feedSite(await makeSite(world, ourCommands, isSynchronous));
      const application = startApplication(site, 30);
      const promises = watchPromises(site);
      const campaign: Campaign = {
        ...{ site, random, log, application, promises, isSynchronous },
        ...{ counts: {}, lost: new Set(), settled: 0 },
      };
      try {
        await bootFedSite(site, log);
        await verify(campaign, 'the beginning');
        for (const [index, kind] of choose(random, changes).entries()) {
          if (index === Math.ceil(changes / 2)) await setSynchronous(campaign, !isSynchronous);
          const about = `change ${index + 1}, ${campaign.isSynchronous ? 'synchronous' : 'asynchronous'}`;
          log.say(`--- ${about}: ${kind}`);
          const what = await change(campaign, kind);
          log.say(what);
          done.push(`${index + 1}. ${what}`);
          await verify(campaign, `after ${about}, ${kind}`);
        }
        const minutes = ((Date.now() - beganMs) / 60_000).toFixed(1);
        console.log(
          `seed ${seed}: ${changes} changes in ${minutes} min, ${JSON.stringify(campaign.counts)}, ${application.rows.length} numbers acknowledged, ${campaign.lost.size} lost without a synchronous standby`,
        );
        console.log(done.join('\n'));
      } catch (error) {
        console.log(log.lines.join('\n'));
        for (const member of site.members)
          console.log(`--- Patroni of ${member.name}:\n${member.log().slice(-6_000)}`);
        throw error;
      } finally {
        await application.stop();
        await promises.stop();
        await site.close();
      }
    },
  );
});
