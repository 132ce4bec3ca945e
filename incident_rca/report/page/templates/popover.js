// The theme button; what a link to evidence or to the glossary shows while it is pointed at.
(function () {
  "use strict";
  const root = document.documentElement;
  const button = document.getElementById("theme");
  const themes = ["system", "light", "dark"];

  function show(theme) {
    if (theme === "system") delete root.dataset.theme;
    else root.dataset.theme = theme;
    button.textContent = "Theme: " + theme;
    try {
      localStorage.setItem("incident-rca-theme", theme);
    } catch {
      // It then lasts as long as the page.
    }
  }

  button.hidden = false;
  button.textContent = "Theme: " + (root.dataset.theme || "system");
  button.addEventListener("click", function () {
    show(themes[(themes.indexOf(root.dataset.theme || "system") + 1) % themes.length]);
  });

  const popover = document.getElementById("popover");
  const LINK = "a.ev, a.term";
  let shownFor = null;

  function hide() {
    if (shownFor) shownFor.removeAttribute("aria-describedby");
    shownFor = null;
    popover.hidden = true;
  }

  function place(link) {
    const box = link.getBoundingClientRect();
    const width = popover.offsetWidth;
    const left = Math.max(12, Math.min(box.left, root.clientWidth - width - 12));
    const below = box.bottom + 6;
    const fits = below + popover.offsetHeight < window.innerHeight;
    const top = fits ? below : Math.max(6, box.top - popover.offsetHeight - 6);
    popover.style.left = left + window.scrollX + "px";
    popover.style.top = top + window.scrollY + "px";
  }

  function open(link) {
    const target = document.getElementById(link.hash.slice(1));
    if (!target || target.contains(link)) return;
    hide();
    // Copies of nodes that the page holds already: no text is ever read as markup here.
    popover.replaceChildren(...Array.from(target.children, (node) => node.cloneNode(true)));
    popover.hidden = false;
    link.setAttribute("aria-describedby", "popover");
    shownFor = link;
    place(link);
  }

  document.addEventListener("pointerover", function (event) {
    if (event.pointerType === "touch" || !(event.target instanceof Element)) return;
    const link = event.target.closest(LINK);
    if (link) open(link);
    else if (!event.target.closest("#popover")) hide();
  });
  document.addEventListener("focusin", function (event) {
    if (event.target.matches(LINK)) open(event.target);
    else hide();
  });
  document.addEventListener("focusout", hide);
  document.addEventListener("keydown", function (event) {
    if (event.key === "Escape") hide();
  });
  window.addEventListener("hashchange", function () {
    hide();
    reveal();
  });

  // What is linked to may stand in a closed part, or in rows that a filter hides.
  function reveal() {
    const target = document.querySelector(":target");
    if (!target) return;
    for (let part = target; part; part = part.parentElement) {
      if (part.tagName === "DETAILS") part.open = true;
    }
    const inside = target.querySelector(":scope > details");
    if (inside) inside.open = true;
    if (target.hidden) target.dispatchEvent(new CustomEvent("reveal", { bubbles: true }));
    target.scrollIntoView({ block: "start" });
  }
  reveal();

  // Where the reader is, in the list of sections.
  const links = new Map();
  for (const link of document.querySelectorAll(".toc a")) links.set(link.hash.slice(1), link);
  const sections = Array.from(links.keys(), (id) => document.getElementById(id)).filter(Boolean);
  function mark() {
    const passed = sections.filter((section) => section.getBoundingClientRect().top < 140);
    const current = passed.length ? passed[passed.length - 1] : sections[0];
    for (const [id, link] of links) {
      if (current && id === current.id) link.setAttribute("aria-current", "true");
      else link.removeAttribute("aria-current");
    }
  }
  document.addEventListener("scroll", mark, { passive: true });
  mark();
})();
