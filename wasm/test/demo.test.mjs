// Tests of the demo page, opened from disk: its results, by keyboard, in dark and light colours, on a desktop and a phone.
import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { bewit, createTemporaryCredentials, sign, verifyBewit } from 'taskcluster-hawk';
import { PACKAGE, hasChromium, needs, openChromium } from './tools.mjs';

const PAGE = `file://${PACKAGE}demo/taskcluster-hawk.html`;
const SCREENSHOTS = `${PACKAGE}screenshots`;
const tester = { clientId: 'tester', accessToken: 'no-secret' };
const lookup = (clientId) => (clientId === 'tester' ? { ...tester, scopes: ['*'] } : null);
const url = 'https://tc.example.com/api/queue/v1/task/Vx1TzQm4RkOa9LwYbD0cHg/artifacts/public%2Flog';

describe('the demo page', needs('chromium', hasChromium), () => {
  let browser;
  let page;
  const requests = [];
  const errors = [];

  before(async () => {
    mkdirSync(SCREENSHOTS, { recursive: true });
    browser = await openChromium();
  });

  after(() => browser?.close());

  async function open(options) {
    await page?.context().close();
    page = await (await browser.newContext(options)).newPage();
    page.on('request', (request) => requests.push(request.url()));
    page.on('pageerror', (error) => errors.push(error));
    page.on('console', (message) => message.type() === 'error' && errors.push(message.text()));
    await page.goto(PAGE);
  }

  const type = (label, text) => page.getByLabel(label, { exact: true }).fill(text);
  const results = (id) => page.locator(`#${id} pre`);

  async function fillIn() {
    await type('clientId', tester.clientId);
    await type('accessToken', tester.accessToken);
    await page.locator('#bewit-url').fill(url);
    await page.locator('#header-url').fill('https://tc.example.com/api/auth/v1/scopes/current');
  }

  test('signs a URL and a request', async () => {
    await open();
    await fillIn();
    const signed = await results('bewit-result').first().textContent();
    assert.equal(verifyBewit(signed, lookup).clientId, 'tester');
    assert.match(await page.locator('#bewit-result').textContent(), /expires.*in 00:59:5\d|expires.*in 01:00:00/s);
    assert.match(await results('bewit-result').last().textContent(), /^hawk\.1\.bewit\n\d+\n\nGET\n\/api/);
    assert.match(await results('header-result').nth(1).textContent(), /^Hawk id="tester", ts=/);
  });

  test('counts down', async () => {
    const countdown = page.locator('#bewit-result .countdown');
    const first = await countdown.textContent();
    await page.waitForFunction((text) => document.querySelector('#bewit-result .countdown').textContent !== text, first);
  });

  test('decodes and checks a signed URL and a header', async () => {
    const result = page.locator('#inspect-result');
    await page.locator('#inspect-url').fill(bewit(url, { ...tester, authorizedScopes: ['a:"<b>"'] }));
    await result.getByText("The signature is valid. It is from tester, with the scopes a:\"<b>\", assume:anonymous.").waitFor();
    await page.locator('#inspect-url').fill(bewit(url, tester).replace('public', 'private'));
    await result.getByText('The signature is not valid: Unauthorized: Bad mac').waitFor();
    const { headers } = sign({ url, method: 'PUT' }, tester);
    await page.locator('#inspect-url').fill(url);
    await page.locator('#inspect-method').fill('PUT');
    await page.locator('#inspect-header').fill(headers.authorization);
    await result.getByText("The signature is valid. It is from tester, with all scopes").waitFor();
  });

  test('shows errors beside the fields', async () => {
    await page.locator('#bewit-url').fill('tc.example.com/x');
    await page.locator('#bewit-result').getByText('expected an absolute URL that starts with http').waitFor();
    await page.locator('#bewit-url').fill(url);
    await page.locator('#bewit-minutes').fill('');
    await page.locator('#bewit-result').getByText('valid for: ').waitFor();
    await page.locator('#bewit-minutes').fill('44641');
    await page.locator('#bewit-result').getByText('valid for: ').waitFor();
    await page.locator('#bewit-minutes').fill('60');
    // Invalid credentials do not make the signature invalid.
    await page.getByText('Temporary or restricted credentials').click();
    await type('certificate, JSON', '{');
    await page.locator('#inspect-result').getByText('The signature cannot be checked: credentials.certificate: expected JSON').waitFor();
    await type('certificate, JSON', '');
  });

  test('copies a result, or selects it where copying is not possible', async () => {
    const button = page.getByRole('button', { name: 'Copy signed URL' });
    const signed = await results('bewit-result').first().textContent();
    await page.context().grantPermissions(['clipboard-read', 'clipboard-write']);
    await button.click();
    await page.getByRole('button', { name: 'Copied: signed URL' }).waitFor();
    assert.equal(await page.evaluate(() => navigator.clipboard.readText()), signed);
    await page.locator('#bewit-minutes').fill('61');
    await page.evaluate(() => Object.defineProperty(navigator, 'clipboard', { value: undefined }));
    await button.click();
    await page.getByRole('button', { name: 'Selected: signed URL' }).waitFor();
    assert.equal(await page.evaluate(() => String(getSelection())), await results('bewit-result').first().textContent());
  });

  test('creates temporary credentials, signs with them, and recognises their signatures', async () => {
    await page.locator('#temporary-scopes').fill('a:*\nb');
    await page.locator('#temporary-name').fill('tester/page');
    await page.getByRole('button', { name: 'Create' }).click();
    const made = JSON.parse(await results('temporary-result').first().textContent());
    assert.equal(made.clientId, 'tester/page');
    await page.getByRole('button', { name: 'Use these credentials on this page' }).click();
    const signed = await results('bewit-result').first().textContent();
    assert.deepEqual(verifyBewit(signed, lookup).scopes, ['a:*', 'b', 'assume:anonymous']);
    await page.locator('#inspect-header').fill('');
    for (const [pasted, verdict] of [
      [signed, 'The signature is valid: these credentials made it.'],
      [signed.replace('public', 'other'), 'The signature is not valid: these credentials make another MAC.'],
      [bewit(url, made, { expires: new Date(Date.now() - 10_000), now: new Date(Date.now() - 20_000) }), 'These credentials made the signature, and it has expired.'],
      [bewit(url, createTemporaryCredentials(tester, { scopes: [], name: 'tester/page' })), 'The signature is not valid: these credentials make another MAC.'],
    ]) {
      await page.locator('#inspect-url').fill(pasted);
      await page.locator('#inspect-result').getByText(verdict).waitFor();
    }
  });

  test('can be used by keyboard alone', async () => {
    await open();
    const keys = async (...presses) => {
      for (const press of presses) await page.keyboard.press(press);
    };
    await keys('Tab');
    await page.keyboard.type('tester');
    await keys('Tab');
    await page.keyboard.type('no-secret');
    // Enter opens and closes the section about temporary credentials.
    await keys('Tab', 'Enter', 'Enter', 'Tab');
    await page.keyboard.type(url);
    await keys('Tab');
    assert.equal(await page.evaluate(() => document.activeElement.id), 'bewit-minutes');
    await keys('Tab');
    assert.match(await page.evaluate(() => document.activeElement.getAttribute('aria-label')), /^Copy signed URL/);
    assert.match(await results('bewit-result').first().textContent(), /bewit=/);
  });

  for (const colorScheme of ['light', 'dark']) {
    test(`fits the screen and has enough contrast: ${colorScheme}, on a desktop and on a phone`, async () => {
      for (const [size, viewport] of [['desktop', { width: 1100, height: 900 }], ['phone', { width: 360, height: 740 }]]) {
        await open({ colorScheme, viewport, hasTouch: size === 'phone' });
        await fillIn();
        await page.locator('#inspect-url').fill(bewit(url, tester));
        await page.locator('#temporary-scopes').fill('queue:get-artifact:*');
        const width = await page.evaluate(() => document.documentElement.scrollWidth);
        assert.ok(width <= viewport.width, `${width} wide`);
        assert.deepEqual(await tooFaint(), []);
        await page.screenshot({ path: `${SCREENSHOTS}/${colorScheme}-${size}.png`, fullPage: true });
      }
    });
  }

  test('sent no requests and logged no errors', () => {
    assert.deepEqual(requests.filter((request) => request !== PAGE && !request.startsWith('data:')), []);
    assert.deepEqual(errors, []);
  });

  /** Elements whose text has less contrast than WCAG 2 requires (4.5 to 1). */
  function tooFaint() {
    return page.evaluate(() => {
      const channels = (color) => color.match(/[\d.]+/g).slice(0, 3).map((c) => ((c /= 255) <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
      const luminance = (color) => channels(color).reduce((sum, c, index) => sum + c * [0.2126, 0.7152, 0.0722][index], 0);
      const ground = (element) => {
        const { backgroundColor } = getComputedStyle(element);
        return backgroundColor !== 'rgba(0, 0, 0, 0)' ? backgroundColor : ground(element.parentElement);
      };
      const contrast = (element) => {
        const [one, two] = [getComputedStyle(element).color, ground(element)].map(luminance);
        return (Math.max(one, two) + 0.05) / (Math.min(one, two) + 0.05);
      };
      return [...document.querySelectorAll('h1,h2,p,label,pre,summary,button,span,a,input:not(:disabled)')]
        .filter((element) => contrast(element) < 4.5)
        .map((element) => element.outerHTML.slice(0, 80));
    });
  }
});
