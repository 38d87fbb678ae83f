"""Story templates of the demo corpus: openings, asides, endings and the plots between them.

A plot is a list of sentences in order, each with many branches. The characters are bound once a story:
``h`` is the hero, ``f`` a friend, ``e`` an elder and ``s`` a stranger, so ``<he>``, ``<fim>`` or ``<eis>``
always agree with the person they stand for.
"""

# One template is one sentence and one line, however many branches it has.
# ruff: noqa: E501

from __future__ import annotations

RULES: dict[str, str] = {
    "opening": """
{Once|One day|A long time ago|Not long ago|Some years ago}, {there was|there lived} a {<adj.person> |little |young |}<hchild> {named|called} <hN> {in <town1>|in a {small |quiet |busy |}{town|village} called <town1>|who lived near <there>}.
<hN> was a <adj.person> <hchild> who lived {in <town1>|near <there>|with <his> {mother|father|grandmother|aunt|family} in <town1>}.
One <daypart> in {early |late |}<season1>, <hN> {<moved> to <there>|was on the way to <there>|sat <inside>}.
It was {a {quiet|long|busy|bright|warm|cold} <daypart>|<day1>|the first day of <season1>|the middle of <season1>|a day like any other} in <town1>, and <hN> {was on the way to <there>|sat <inside> with <his> <friendship> <fN>|had nothing to do}.
{On <day1>|On a <day1> in <month>|Every <day1>|Last <day1>}, <hN> {went to <there>|met <his> <friendship> <fN> <inside>}.
<hN> and <his> <friendship> <fN> {lived in the same street in <town1>|did almost everything together|had known each other for <count> years|often met <inside>}.
When <hN> was <age> years old, <he> {lived in <town1>|moved to <town1>|spent the <season1> in <town1>} with <his> {parents|grandparents|mother|father|family}.
In the {town|village} of <town1>, everyone knew <hN>, {the <hchild> with the <obj>|because <he> was so <adj.person>|who always carried a <obj>|the most <adj.person> <hchild> in the street}.
<hN> had {always wanted|wanted for a long time|waited all <season1>} to {see <there>|go to <there>|own a <obj>|learn <k.to>}.
""",
    "opening.weather": """
It was {a {quiet|long|busy} <daypart>|<day1>|the first day of <season1>|the middle of <season1>}, and <weather1>. <hN>, a <adj.person> <hchild>, {<moved> to <there>|looked out of the window|was at home with <eN>|had been looking forward to this day}.
<weather1> {when|as} <hN> {left the house|opened the door|woke up|came home}, {and|but} <he> {was in a good mood|felt <mood>|did not mind|had plans for the day}.
<weather1>, and <effect1>. {Only <hN>|But <hN>}, a <adj.person> <hchild> of <age> years, {was not content with that|had other plans|thought of something else}.
{On <day1>|That <day1>|One <day1> in <month>} <weather1>, and <effect1>. <hN> and <fN> {met <inside>|sat in the <room>|had agreed to meet}.
""",
    "setting": """
{There was not a cloud to be seen|The air smelled of rain|The street was still quiet|A clock struck <clocktime>|The shops had just opened|Nobody else was awake}, {and|but} <hN> {was wide awake|had much to do|was in no hurry}.
<inside>, it was {quiet|busy|warm|cool} that <daypart>, and <seen>.
<he> was a <adj.person> <hchild>, and <he> {liked <k.ing>|never went out without <his> <obj2>|knew every corner of <town1>|loved stories about <animals>}.
The house was {small|large|tall|narrow} and had a <colour> door, {and behind it was a garden|and from the window one could see <there2>|and in the <room> there was always something to do}.
<he> lived in a {small|large|narrow|tall}, {old|new|plain|bright|pretty} house {near <there2>|at the end of the street|beside {an oak|a birch|a willow|an apple tree|a pine}}.
<hN> had a {<adj.look> |}<obj2>{| that had belonged to <eN>|, and <he> took it everywhere| from <his> birthday}.
<inside>, <seen>.
<his> {favourite food was <food1>|favourite colour was <colour1>|best friend was <fN>|greatest wish was <k.to>}.
""",
    "aside": """
<adverb>, {the light changed|the wind turned|a cloud passed over the sun|evening came closer}.
{A|Somewhere a} <animal> {watched from a distance|could be seen for a moment|made a small noise}, {and then it was gone|but nobody saw it|and then all was quiet again}.
For a {moment|while|minute}, {nobody spoke|it was very quiet|nothing happened|time seemed to stand still}.
{It was already|It was nearly|The clock showed} <clocktime> o'clock.
<hN> {took a deep breath|looked around|thought for a moment|counted to <n1>|scratched <his> head|smiled}.
<inside>, <seen>.
{It smelled of|There was a smell of} {wet grass|fresh bread|old wood|wood smoke|the sea|flowers|warm <food>}.
{In the distance|Far away|Somewhere}, a {bell rang|dog barked|door closed|train whistled|child laughed}.
<hN> {was a little hungry|had some <food> in <his> bag|thought of the <food> at home}, {but there was no time to eat|so <he> ate a bit of it|and that made <him> smile}.
""",
    "closing": """
{From that day on|After that|Since then}, <hN> {knew that <lesson1>|never forgot that <lesson1>|often said that <lesson1>}.
That {evening|night}, <hN> {fell asleep quickly|told <eN> the whole story|wrote about it in <his> notebook|was too excited to sleep}{|, and <he> dreamed of <there2>| and smiled}.
<hN> {went home|<moved> home} {feeling <mood>|with a light heart|as the sun went down|before it got dark}.
"{It was a good day|What a day|I will never forget this day|That was worth the trouble}," {said <hN>|<hN> said}{|, and <he> meant it| with a smile}.
And so {the day ended well|it all ended well|everyone was <mood>|they all went home <mood>}.
{In the evening|Later|At supper}, they {all ate <food1> together|sat by the fire and ate <food1>|laughed about it}, and <hN> was <mood>.
<hN> had learned that <lesson1>.
"You see," said <eN>, "<lesson1>."
{The next day|A week later|Years later}, {people still talked about it|<hN> still thought about it|<he> told the story to <sN>}.
""",
    "saidh": """
said <hN>
<hN> said
<he> said {<adverb>|with a smile|in a low voice|at last|after a while}
answered <hN>
called <hN>
""",
    "saidf": """
said <fN>
<fN> said
<fe> said {<adverb>|with a nod|in a low voice|at last|after a moment}
answered <fN>
replied <fN>
""",
    "saide": """
said <eN>
<ee> said {<adverb>|with a smile|in a calm voice|after a while}
answered <eN>
explained <eN>
""",
    "thanks": """
"Thank you{| so much| very much}," said <hN>.
<hN> thanked <fN> {<adverb>|with all <his> heart|many times}.
"{I could not have done it alone|I will not forget this|You are very kind|You are a true friend}," said <hN>.
""",
}

_TEXT = """
One {morning|afternoon|<weekday>}, <hN> {noticed|saw|found out} that <his> <obj> was {gone|missing|not in its place}.
"{Have you seen my <obj>|Do you know where my <obj> is|Did you take my <obj>}?" <he> asked <eN>.
"{No, I have not seen it|I am afraid not|No, but I will help you look}," <saide>. "{Where did you have it last|When did you see it last|Did you look in the <room>|Why do you not look <inside>}?"
<hN> {looked under the bed|searched the <room>|emptied <his> bag}, {then in the <room>|then behind the door|and then in every drawer}, but {it was not there|<he> found only a <obj2>|there was no trace of it}.
<he> {felt|was} <badmood>, because {it had been a present from <eN>|<he> had owned it for <count> years|it was the only one <he> had}.
Then <he> remembered that {<he> had been <inside> the day before|<he> had lent a bag to <fN>|<he> had played with <fN> <inside>}.
So <he> <moved> to <there2>, and <fN> came along {to help|because two people see more than one|at once}.
<inside2>, {they looked behind every {stone|bench|box}|they asked everyone they met|they walked <adverb> and looked at the ground}.
{At last|After <minutes> minutes|Just when they wanted to give up}, <fN> {saw something <adj.look> under a {bush|bench|tree|cart|stone}|called out|pointed to the ground}: {there was the <obj>|it was the <obj>|the <obj> lay there, a little wet}.
"{Here it is|I have found it|Look what I found}!" {called <fN>|<fN> shouted|said <fN>}.
<thanks>
From then on, <hN> {put the <obj> back in its place every evening|kept the <obj> in a {box|drawer} beside the bed|wrote <his> name on everything <he> owned}.
---
{On the way to <there>|On the path to <there>|Near <there2>}, <hN> {heard a small cry|saw something move in the grass|stopped because of a strange noise}.
It was a {young|little} <b> {that was caught in some {wire|string}|that had hurt its leg|that could not find its way home|that had fallen into a {hole|ditch}}.
"{Do not be afraid|I will not hurt you|Stay still}," <hN> {whispered|said <adverb>}.
<hN> knew that <bs> {live|are often found} <b.home>, {so this one was far from home|and that was not far away|but nobody had told <him> what to do}.
<he> {ran to fetch <eN>|called <fN>|asked <sN>, who was passing by, for help}, {because <he> did not want to make a mistake|because it is better to ask than to guess}.
Together they {lifted the <b> out <adverb>|carried the <b> home in a {box|basket}|wrapped the <b> in a soft cloth} and gave it {some water|a warm place to rest|something to eat}.
"{What does it eat|What should we feed it|What can we give it}?" asked <hN>. "It eats <b.food>," <saide>.
{Every day|Each morning and each evening|For <count> days}, <hN> {brought food|changed the water|sat beside it and spoke softly}, and the <b> {grew stronger|became less shy|slept a lot}.
{After a week|After <count> days|When it was well again}, they {took the <b> back to the place where they had found it|opened the door of the box|let it go}.
The <b> {looked back once|waited for a moment|lifted its head} and {was gone|went its way|disappeared between the leaves}.
<hN> was {a little sad, but also <mood>|<mood>, although <he> missed it}.
{Sometimes|Now and then|In the next <season1>}, {when <hN> passed that place, <he> saw a <b> and wondered if it was the same one|a <b> came into the garden and looked at the window}.
---
<hN> and <fN> wanted to build <w>.
They {asked <eN> for some {boards|rope|tools}|collected {wood|nails|string} for <count> days|drew a plan on a sheet of paper}, {and then the work began|and <eN> gave them a <t>, too}.
{At first|In the beginning}, {all went well|it was easy|they made good progress}, {but then they saw that|but after a while they noticed that|until they saw that} <w.problem>.
"{What shall we do now|Why does it not work|What did we do wrong|Can we still save it}?" asked <fN>.
<hN> {thought about it|looked at it from all sides|measured everything again} {for <minutes> minutes|for a while|<adverb>}.
"{I have an idea|Perhaps I know how|Let us try something else}," <saidh>.
So they <w.fix>, and {this time it worked|then they tried again|that was exactly right}.
{<eN> came to look|Even <sN> stopped to look|The neighbours came to see it} and said {that it was good work|that <ee> had never seen anything like it|how well it was made}.
"{How did you do it|Who taught you that|How long did it take}?" <ee> asked. "{We only had to think before we worked|We tried until it worked|We measured everything twice}," <saidf>.
All through the <season1>, {they used it every day|it stood near <there>|it was their favourite thing}.
---
<hN> wanted <k.to>, but {it was hard|<he> did not know how to begin|<he> was afraid to fail}.
"{Can you teach me|Will you show me how|How did you learn it}?" <he> asked <eN>.
"{Of course|Gladly|Yes}," <saide>, "{but you must practise a little every day|but you will need patience|but do not expect it to be easy}."
On the first day, <hN> {made many mistakes|tried for <minutes> minutes|gave up <count> times}. On the second day, it went {a little better|no better|almost well}.
"{I will never learn it|This is too hard for me|I am too slow for this}," <saidh>, and <he> {felt <badmood>|sat down on the floor|wanted to stop}.
<eN> {smiled|shook <eis> head|put a hand on <his> shoulder}. "{Nobody starts as a master|I needed a whole year myself|You do not have to be quick, only steady}," <ee> said.
So <hN> went on {<k.ing> |}{every morning|after school|for <minutes> minutes a day}, {even when it rained|even when <his> friends played outside|and wrote down what went wrong}.
{After <count> weeks|By the end of <season1>|One day}, {something had changed|it suddenly felt easy|<he> did not need to think about it any more}.
<he> could <k.do>{| better than most people| almost as well as <eN>}!
When <fN> saw it, <fe> {could hardly believe it|asked <him> for help|wanted to learn it too}, {so now <hN> became the teacher|and <hN> showed <fim> the first steps}.
---
<hN> and <fN> {both wanted the same <obj>|had a quarrel about a <obj>|could not agree who should have the <obj>}.
"{It is mine|I saw it first|Give it to me}!" {cried <hN>|said <hN> loudly}. "{No, it is mine|That is not true|You had it yesterday}!" {cried <fN>|said <fN>}.
They pulled {from both sides|so hard that it almost broke|and shouted}, until {<eN> came in|<sN> heard the noise|something cracked}.
"{What is the matter|Why are you shouting|What has happened here}?" asked <eN>.
Both {began to speak at the same time|looked at the floor|turned red} and {it took a while until <eN> understood|nobody wanted to explain}.
"{Let us find a fair way|One of you may have it in the morning and the other in the afternoon|How would you feel in the other one's place|You could use it together}," <saide>.
<hN> {was silent|thought about it|felt <badmood>}. {Then|After a while}, <he> {held out the <obj>|gave the <obj> to <fN>|said that <he> was sorry}.
"{You can have it first|I am sorry|Let us share it}," <saidh>. "{Thank you|I am sorry, too|We can take turns}," <saidf>.
{From then on|In the end|That afternoon}, they {used the <obj> together|took turns|made a plan for every day of the week}, and {it was more fun than before|nobody was cross any more}.
---
<hN> decided to plant some <ps> in the garden {behind the house|near the wall|of <eN>}.
<eN> {gave <him> a small bag of seeds|lent <him> a spade|showed <him> the best place}. "It grows best <p.where>," <ee> said.
<hN> {dug the soil|made a row of small holes|took out the stones}, {put the seeds into the earth|planted everything with care}, and gave it {a little water|some water from the bucket}.
{Every morning|For <count> days|Each day after school}, <he> {looked at the ground|went to see if something had happened}, but there was nothing but {brown earth|dry soil|weeds}.
"{Why does nothing grow|Did I do something wrong|How long does it take}?" asked <hN>. "{You must wait|A seed needs time|It works under the ground, where we cannot see it}," <saide>.
{Then|At last|One morning after the rain}, {a small green point|the first green leaf|<n1> tiny leaves} could be seen.
{A week later|Soon}, {snails came in the night|the sun was so hot that the leaves hung down|a <animal> ate some of the leaves}, {but|and} <hN> {put a small fence around the bed|carried water twice a day|found a way to protect the plants}.
<hN> also learned something about the plant: <p.fact>.
In the end, {the plants stood tall|the bed was full of green|everything had grown well}, and <hN> {gave some to <fN>|counted <n1> of them|invited <fN> to see it}.
---
One <daypart>, <hN> was sent to {the market|the shop|the farm} to buy {<food1>|<n1> {apples|pears|eggs|rolls}|a <t>}.
"{Can you remember all that|Will you come straight home|Do you have the list}?" asked <eN>. "{I will be careful|I will be back soon|Yes, I have it here}," <saidh>.
On the way, <he> met <fN>, who {had a new <obj>|was on <fis> way to <there2>|asked <him> to play for a while}.
{They played so long that <hN> forgot the time|<hN> put the money down on a bench and forgot it|They watched a <a> and forgot everything else}.
When <he> {came to the shop|thought of the errand again|put a hand into <his> pocket}, {the door was locked|the money was gone|it was already evening}.
<hN> was <badmood>. "{What should I say at home|Should I make up a story|What can I do now}?" <he> thought.
{But|In the end,} <he> {went home|<moved> home} and told {the truth|everything as it had happened}.
"{I am glad that you told me the truth|Everyone forgets something now and then|That was brave of you}," <saide>. "{Let us go together tomorrow|Let us look for it together|We will eat <food> instead}."
And {so they did|that is what they did}, {and on the way they laughed about it|and everything was well again}.
---
There was going to be a {race|contest|concert|show} <inside>, and {everyone in <town1> talked about it|the prize was a <obj>}.
<hN> {wanted to take part|had practised for <count> weeks|had put <his> name on the list}, because <he> liked <k.ing>{| more than anything else}.
On the day {itself|of the event}, <weather1>, and <hN> was {so <badmood> that <he> could not eat|<badmood>}.
"{What if I fail|What if I am the last|Do you think I can do it}?" <he> asked <fN>. "{Then you will still be my friend|You have worked hard for it|Just do it as you always do}," <saidf>.
{When <his> turn came|When the bell rang|At <clocktime> o'clock}, <hN> {stepped forward|took a deep breath|closed <his> eyes for a moment} and began.
{In the middle|Near the end|After a few minutes}, {<he> made a small mistake|<sN> fell and hurt <sis> knee|<his> shoe came off}, but <he> {went on|did not give up|stopped to help|stayed calm}.
In the end, {<hN> came in third|<sN> won the prize|<hN> won, although nobody had expected it|there were two winners}, and {the people clapped|everyone cheered}.
"{You were wonderful|I am proud of you|That was a good race}," <saide>.
<hN> {looked at the <obj>|shook hands with <sN>|thought about it} and {was <mood>|knew that <lesson1>}.
---
<hN> had a secret: <he> was making a <obj2> for the birthday of <fN>.
{Every evening|For <count> days|In the early mornings}, <he> sat in the <room> and {worked|painted|cut and glued} {<adverb>|by the light of a lamp|until <his> eyes were tired}.
"{What are you doing in there|Why is the door closed|What is that noise}?" asked <fN> {through the door|one day}. "{Nothing|I cannot tell you yet|You will see}," <saidh>.
<fN> {was <badmood>|thought that <hN> did not like <fim> any more|walked home alone} and {did not come by the next day|told <sN> about it}.
At last {the day came|it was <day1>, the birthday}. <hN> {wrapped the present in <colour1> paper|tied a ribbon around it} and <moved> to the house of <fN>.
{When <fN> opened it, <fe> was silent at first|<fN> opened the paper <adverb>}. "{Did you make this yourself|Is this for me|Was that your secret}?" <fe> asked.
"{Yes, every part of it|It took me <count> days|That is why the door was closed}," <saidh>.
<fN> {laughed|put <fis> arms around <him>|was so <mood> that <fe> could not speak}, {and the two were friends as before|and they ate <food1> together}.
---
<hN> was afraid of {the dark|thunder|deep water|high places|the big dog next door|the old house at the corner}.
{Nobody knew it|<he> had never told anyone|Only <eN> knew about it}, because <he> {did not want the others to laugh|thought that {brave|clever} people are never afraid}.
One <daypart>, {<hN> and <fN> were alone in the house|<hN> was on the way home from <there>|they were all staying at <town1>}, {when the lights went out|when a storm came up|when something moved behind the door}.
{<his> heart beat fast|<his> hands grew cold|<he> could not move}. "{Are you afraid|What was that|Do you hear it, too}?" <fN> whispered.
"{Yes, a little|I am|To tell the truth, yes}," <saidh>. "{So am I|I am glad that you say so|Then we are two}," <saidf>.
They {held hands|lit a candle|counted to <n1> together|sang a song} and {went to look|walked on step by step|opened the door <adverb>}.
There was {only a <a>|nothing but the wind|only an old coat on a hook}, and {it was more afraid than they were|they laughed until their sides hurt}.
{Since then|After that night}, <hN> {was still a bit afraid, but not so much|knew that talking about fear makes it smaller}.
---
<hN> and <eN> {took the train|went by boat|walked for <count> hours|rode on a cart} to <there>, which was far from <town1>.
<he> {looked out of the window|asked a hundred questions|ate <food1> on the way}: {outside, fields and villages went by|first came fields, then woods, and then hills}.
"{How far is it|Are we there yet|What is that over there}?" asked <hN>. "{Not far now|Another <minutes> minutes|Wait and see}," <saide>.
When they arrived, <seen>, {and <hN> had never seen anything so beautiful|just as <eN> had told}.
They {met <sN>, who lived there|looked at everything|walked around for hours}, and <sN> {showed them a <adj.look> <t>|told them about the <as>|offered them <food1>}.
"{Did you know that <as> live <a.home>|Do you see it up there|Have you seen one before}?" asked <sN>. "{There is a <a>|We see many <as> here in <season1>}."
<hN> {kept very still|watched for a long time|made a drawing of it in <his> notebook}. It had <a.body>.
In the evening, {they were tired but <mood>|they stayed at an inn|the sky turned <colour1>}, and <hN> {did not want to go home|asked when they would come again}.
---
There was a new {<schild>|child|pupil|neighbour} in <town1>, and nobody {spoke|played} with <sim>; the name was <sN>.
<sN> {sat alone <inside>|ate lunch alone|looked out of the window} and {did not say a word|seemed <badmood>}.
<hN> saw it and {remembered how it was to be new|felt sorry|wondered what to do}.
"{May I sit here|Do you want to play|Where did you live before}?" asked <hN>. <sN> {looked up|nodded|smiled a little}.
"{I lived far away, <inside2>|We came from the coast|I do not know anyone here}," said <sN>.
They {talked about <animals> and <tools>|found out that both liked <k.ing>|shared some <food1>}, and {soon they laughed|the time went by quickly}.
{The next day|On <day1>}, <hN> {brought <fN> along|showed <sim> <there2>|asked <sN> to come home for <food1>}.
{It turned out that <sN> could <k.do> very well|<sN> knew a lot about <as>}, and {everyone wanted to see it|soon all the children came to listen}.
After a month, {nobody remembered that <sN> had ever been new|the three were always together}.
---
<eN> wanted to {cook|make|prepare} <dish1>, and <hN> was allowed to help.
"{What do we need|What shall I do first|May I stir}?" asked <hN>. "{First wash your hands|Bring me the <ingredient> and the <ingredient>|Read me the list}," <saide>.
They {put everything on the table|weighed the <ingredient>|cut the <ingredient> into small pieces} and {lit the stove|warmed the oven|filled the pot with water}.
<hN> {stirred <adverb>|counted <n1> spoons|tasted a little of it}, {but then something went wrong|and everything smelled good}.
{The bag with the <ingredient> tore|The milk boiled over|<he> had taken salt instead of sugar|The pot was too small}, and {there was a big mess|<hN> turned red|they both began to laugh}.
"{It does not matter|We will clean it up and try again|That has happened to me as well}," <saide>.
{On the second try|After <minutes> minutes|In the end}, the <dish1> was {ready|a little brown, but good|better than ever}.
<fN> came by, {because it smelled so good|just in time}, and {they all ate until nothing was left|asked for more <count> times}.
---
The {clock|old clock} in the <room> {had stopped|did not strike any more}, and {nobody in the house knew why|<eN> was upset about it}.
<hN>, who {liked machines|wanted to know how things work|was <adj.person>}, {asked if <he> might open it|took a lantern and looked inside}.
Inside were {many small wheels|wheels of brass and a long chain}, and {one of them did not turn|between two of them there was a <obj2>|a spider had made its web there}.
"{Can you mend it|Do you see anything|Is it broken}?" asked <fN>. "{I think so|Hold the lamp a little higher|I see what is wrong}," <saidh>.
<he> {took a <t> and a drop of oil|cleaned the wheels with a brush|drew every part before <he> moved it}, because {it is wise to know how things were before|<he> did not want to lose a part}.
{It took <minutes> minutes|Hours went by|It was harder than <he> had thought}, but {then|at last} {the clock began to tick|all wheels turned again}.
"{You have the hands of a clockmaker|Who would have thought it|Well done}," <saide>, and {the clock struck <clocktime>|everyone listened to the sound}.
---
<hN> wanted to know {how many <as> there were <inside>|how many steps it was to <there>|how many <ps> grew near <there>}.
<he> {counted them in the morning|took a notebook and began to count|asked <fN> to count as well}. <hN> found <n1>, and <fN> found <n2>{ on the other side| in another place|}.
"{How many is that together|What do we get if we add them|How many are there in all}?" asked <fN>. "<n1> and <n2> make <sum>," <saidh>.
"{Are you sure|Did we count one twice|Is that right}?" asked <fN>. So they {counted again|checked it with stones|wrote it down}, and it was {right|<sum> again|still <sum>}.
{Then|Later}, <eN> gave them <n2> {apples|nuts|biscuits|plums} each, {and there were <n1> children in all|for <n1> children}, and that made <product>.
They {ate some of them and kept the rest|shared them fairly|put them into a basket}, and {nobody got more than the others|everyone was <mood>}.
"{Numbers are useful|Counting is easy if you take your time|I like numbers}," <saidf>.
---
At {school|the library|work}, <hN> got {an old|a small|a new} computer, and <he> {wanted to teach it to write|wanted to train a small model on it|was curious what it could do}.
"{What does it need|Where do we begin|Can a computer learn}?" asked <fN>. "{It learns from examples|It needs many sentences|It only knows what it has read}," <saidh>.
So they {wrote <rows> short sentences|collected <rows> lines of text|made a list of examples} and {saved them in a file|put them into a folder|checked every line twice}.
{The first try was bad|At first, the model wrote nonsense}: {the loss was <loss1>|the same word came again and again|no sentence made sense}.
<hN> {made the learning rate smaller|added more examples|found a mistake in the data}, and {they waited|the training started again|the numbers on the screen began to move}.
After <minutes> minutes, the loss had {fallen|gone down} to <loss2>, and {the sentences looked better|the model could tell a short story|<fN> clapped <fis> hands}.
"{Save it|Do not forget to keep a checkpoint|What if the power goes out}!" {said <fN>|called <fN>}. <hN> {saved a checkpoint|copied the file to a second disk}, and {just then the lights went out|that was a good idea}.
{The next morning|Later}, they {started again from the checkpoint|loaded the file and went on}, and nothing was lost.
---
<hN> {kept a diary|wrote a letter to <fN>|told <fN> about the week}. It {began|went} like this.
"Dear <fN>, {I hope you are well|how are you|thank you for your letter}. {Here in <town1>, <weather1>|I am writing to you from <town1>|It has been <count> weeks since you left}."
"{On <day1> I went to <there> with <eN>|We spent the whole day <inside>|Last week I saw a <a> <inside>}, and <seen>."
"{I have learned <k.to>|I am still trying <k.to>|<sN> showed me how <k.to>}, {and it is great fun|although it is not easy|and I practise every <daypart>}."
"{Do you remember the <obj> that I lost|Do you still have your <obj>|Guess what I found}? {I found it in the <room>|It was in the <room> all the time|I gave it to <sN>}."
"{Please write soon|Come and visit us in <season1>|I miss you}. {We will eat <food1> together|There is so much to show you|Bring your <obj2> with you}. Your {friend|old friend} <hN>."
<fN> {read the letter twice|smiled when <fe> read it|put the letter into a box} and {wrote an answer the same evening|made plans for a visit}.
---
Old <sN> was a {<j>|<j> who had seen many things}, and {the children loved to listen to <sim>|everyone in <town1> knew <sim>}.
As all <js> do, <se> had to <j.do>, {year after year|in good and bad weather}, <j.where>.
<hN> {often visited <sim>|came by after school|helped <sim> on <day1>}. "{Is it hard work|Do you like your work|What do you need for it}?" <he> asked.
"{You need <j.with> and patience|It is hard, but I would not change it|Every day is different}," said <sN>.
One day {<sN> was ill|<sN> hurt <sis> hand|there was too much to do}, and {the work could not wait|nobody else knew what to do}.
<hN> {called <fN>|asked <fN> and <eN> to come}, and together they {did what had to be done|worked from morning until evening|took <j.with> and began}.
{They made a few mistakes|It was not perfect}, but {in the evening everything was finished|<sN> was <mood>}.
"{I could not have done it better|What would I do without you|You have earned your supper}," said <sN>, and {gave them <food1>|they all sat down to eat <food1>}.
---
"{Shall we go to <there>|What shall we do today|Do you want to come with me}?" asked <hN> one <daypart>.
"{Yes, let us go|Gladly|If it does not rain}," <saidf>, {and took a <obj2> along|and put on a coat|and packed some <food1>}.
They <moved> {along the river|down the street|through the fields} and {talked about this and that|counted the <animals> they saw|sang a song}.
<inside>, <seen>. {There they met <sN>|Someone had left a <obj> there|A <a> sat on a post and looked at them}.
"{What is that|Look|Do you see what I see}!" {whispered|called} <fN>. {Under a tree there was a hole in the ground|Behind the bushes stood a <adj.look> <w.cart>|There was a small door in the wall}.
{They looked inside|<hN> put <his> hand in|They went closer} and found {a <adj.look> <obj>|a box with a <obj> in it|a letter, <count> years old}.
"{Who does it belong to|Shall we keep it|What should we do with it}?" asked <fN>. "{We should ask at the post office|Let us find the owner|It is not ours}," <saidh>.
{They asked from house to house|They put up a note <inside2>}, and {in the end it belonged to <sN>|an old woman came who had lost it as a child}.
{<sN>|The owner} was so <mood> that {they were invited for <food1>|there was a reward for both of them}.
---
In <town1>, {the bridge was broken|the well was dry|the library had a hole in its roof|there was no light in the square}, and {nobody did anything about it|everyone complained about it}.
"{Why does nobody repair it|Who is going to help|What would it cost}?" asked <hN>. "{There is no money for it|It has always been like that|That is not so simple}," <saide>.
<hN> {went from door to door|made a list|spoke to the <js>|called all <his> friends together}, {and asked who could help|and explained the plan}.
One neighbour brought a <t>, {another|a second one} brought {boards|stones|a <t2>}, and the <j> of the town {came with <j.with>|promised to help}.
They worked {for <count> days|the whole weekend|through the <season1>}, {some carried and some measured|and at noon there was <dish1> for all}.
{There was one problem|Once they had to begin again}, {because it rained without end|because a board was too short}, but {nobody went home|they found a way}.
{When it was finished|On the last day}, {the whole town came together|there was a small feast with <food1> and music}.
"{Everyone can do a little|Together it was easy|Now it will last for years}," <saidh>.
"""

PLOTS: list[list[str]] = [
    [line for line in block.strip().splitlines() if line.strip()]
    for block in _TEXT.replace("<adj.look> <w.cart>", "<adj.look> cart").split("---")
]
