// Chromium, and what a person looks for on our own pages.
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';

import { chromium } from 'playwright-core';

/** Where pictures of the pages go; shown by the tests that take them. */
export const pictures = process.env.RINGCAST_SCREENSHOTS ?? fs.mkdtempSync(path.join(os.tmpdir(), 'ringcast-screenshots-'));
fs.mkdirSync(pictures, { recursive: true });

export const sizes = {
  desktop: { viewport: { width: 1280, height: 800 } },
  phone: { viewport: { width: 390, height: 844 }, deviceScaleFactor: 2, isMobile: true, hasTouch: true },
};

export const launch = (args = []) => chromium.launch({ executablePath: '/usr/bin/chromium', args });

/** One context with its profile in `folder`, which keeps third-party cookies. Certificates are not looked at. */
export function launchThatKeepsAllCookies(folder, args = []) {
  const preferences = { profile: { cookie_controls_mode: 0, block_third_party_cookies: false } };
  fs.mkdirSync(path.join(folder, 'Default'), { recursive: true });
  fs.writeFileSync(path.join(folder, 'Default', 'Preferences'), JSON.stringify(preferences));
  return chromium.launchPersistentContext(folder, { executablePath: '/usr/bin/chromium', args, ignoreHTTPSErrors: true });
}

export const by = (name) => `[data-testid=${name}]`;

/** A page that collects in `page.complaints` what the browser warns of. */
export async function newPage(context) {
  const page = await context.newPage();
  page.complaints = [];
  page.on('console', (message) => {
    if (['error', 'warning'].includes(message.type())) page.complaints.push(message.text());
  });
  page.on('pageerror', (error) => page.complaints.push(String(error)));
  return page;
}

/** The live page says that its stream is `state`. */
export const waitForState = (page, state) =>
  page.waitForFunction(
    ([selector, wanted]) => document.querySelector(selector)?.textContent.trim().toLowerCase() === wanted,
    [by('state'), state],
    { timeout: 15_000 },
  );

/** `text` stands somewhere in the element with this test ID. */
export const waitForText = (page, name, text, timeout = 10_000) =>
  page.waitForFunction(
    ([selector, wanted]) => document.querySelector(selector)?.textContent.includes(wanted),
    [by(name), text],
    { timeout },
  );

/** The live page lists an event with this text. */
export const waitForEvent = (page, text) =>
  page.waitForFunction(
    ([selector, wanted]) => [...document.querySelectorAll(`${selector} > *`)].some((row) => row.textContent.includes(wanted)),
    [by('events'), text],
    { timeout: 10_000 },
  );

/** The page does not have to be scrolled sideways: [width of its content, width of the window]. */
export const widths = (page) => page.evaluate(() => [document.documentElement.scrollWidth, document.documentElement.clientWidth]);
